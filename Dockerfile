# The main job in a container:
#   docker build -t ltbench .
#   docker run --rm -v ltbench:/home/ltbench ltbench
# Anything else: docker run --rm -v ltbench:/home/ltbench ltbench list methods
FROM python:3.11-slim-bookworm

# Shared libraries that OpenCV, which mmengine imports, looks for.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

# Another package index, e.g. one that has PyTorch without CUDA: docker build --build-arg PIP_INDEX_URL=… .
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY ltbench ltbench
COPY plugins plugins
RUN pip install --no-cache-dir .

# Records, rendered images and features stay in the home folder of a user without rights.
RUN useradd --create-home ltbench
USER ltbench
WORKDIR /home/ltbench
ENV LTBENCH_CACHE=/home/ltbench/cache

ENTRYPOINT ["ltbench"]
CMD ["run", "--task", "shapes-lt", "--method", "lmpt"]
