"""One run from request to record: resolve, check, phase 1, close its files, phase 2, record."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
import traceback
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ltbench.backbones.registry import find_backbone, own_size
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.best_epoch import BestEpoch
from ltbench.engine.facts import RunFacts, check_draft, common_content, cost_of, facts_of
from ltbench.engine.failures import Diverged, MachineFault, is_the_machines
from ltbench.engine.inputs import Inputs
from ltbench.engine.kept import write_kept
from ltbench.engine.launched import launched
from ltbench.engine.needs import check_fit, check_parts, unknown_policy
from ltbench.engine.phase1 import Phase1
from ltbench.engine.prepare import Prepared, need_images_of, prepare, setup_for
from ltbench.engine.ranks import ALONE, Ranks, device_of
from ltbench.engine.request import RunRequest, resolve_method
from ltbench.engine.setup import Outcome
from ltbench.engine.spoken import doubtful_names
from ltbench.metrics.versions import logits_dtype
from ltbench.plugin.code import made_by
from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.files import write_atomic
from ltbench.plugin.manager import registry
from ltbench.records.canonical import without_paths
from ltbench.records.corrections import Corrections, judge_corrections
from ltbench.records.facts import OVERRIDDEN, LogitsFacts, Selection
from ltbench.records.judge import Judgement, check_alignment, check_stored, judge
from ltbench.records.logits import file_sha256, read_logits, write_logits
from ltbench.records.read import RECORD_NAME, load_record
from ltbench.records.record import RunContent, RunRecord, seal
from ltbench.records.store import AttemptFolder, Overwrite, RunStore
from ltbench.tasks.views import TestView, TrainView, open_test, open_train, open_truth
from ltbench.tasks.views.complete import open_train_truth

#: Seconds that a process other than rank 0 goes on after it failed.
_LINGER = 10.0


@dataclass(frozen=True)
class Finished:
    """What a run left.

    Attributes:
        folder: the attempt's folder.
        reused: the key was finished before, nothing was run.
    """

    record: RunRecord
    folder: Path
    reused: bool


def plan(request: RunRequest) -> dict[str, Any]:
    """What a run would do (``--dry-run``): resolved configuration, and whether it is finished already.

    Nothing is opened, so that a run counts as finished by what was asked for: its configuration, backbone, seed, number
    of threads and rows. Its key holds the fingerprints of data and weights as well.

    Raises:
        UserError: a name or an option does not fit.
    """
    resolved = resolve_method(request)
    needs = resolved.method.needs()
    check_fit(
        request.method, needs, request.task, True, request.backbone, find_backbone(request.backbone)[0].spec.offers
    )
    preset = resolved.preset
    facts = {
        "task": request.task.address,
        "method": request.method,
        "variant": resolved.variant,
        "preset": None if preset is None else preset.name + (OVERRIDDEN if resolved.altered else ""),
        "origin": resolved.origin,
        "config": resolved.config.model_dump(mode="json"),
        "backbone": request.backbone,
        "weights": request.weights or "released",
        "image_size": resolved.image_size or own_size(request.backbone),
        "dtype": request.dtype,
        "seed": request.seed,
        "threads": request.threads,
        "limit": request.limit,
        "share": request.share,
        "selection": request.selection,
        "device": request.device,
        "processes": launched().world,
        "accumulation": request.accumulation,
        "unknown_policy": unknown_policy(needs, request.task),
    }
    return {**facts, "finished": _finished(request, facts)}


def _finished(request: RunRequest, facts: dict[str, Any]) -> bool:
    if request.overwrite != "never":
        return False
    made = made_by(registry().methods.get(request.method))
    for path in (request.out / request.task.address / request.method).glob(f"*/*/{RECORD_NAME}"):
        record = load_record(path)
        found = {
            "variant": record.method.variant,
            "config": record.method.config,
            "backbone": record.backbone.name,
            "dtype": record.backbone.dtype,
            "seed": record.seed,
            "threads": record.threads,
            "limit": record.limit,
            "share": record.share,
            "selection": record.selection.rule,
            "processes": record.world_size or 1,
            "accumulation": record.accumulation or 1,
        }
        if facts["image_size"] is not None:
            found["image_size"] = record.backbone.image_size
        drawn = record.backbone.weights == "random"
        code = None if made[2] is None else record.method.code_sha256
        if (record.method.distribution, record.method.version, code) != made:
            continue
        if record.status == "completed" and found.items() <= facts.items() and drawn == (request.weights == "random"):
            return True
    return False


def run_one(
    request: RunRequest, reporter: Reporter = SILENT, ranks: Ranks = ALONE, wait: float = 24 * 3600.0
) -> Finished:
    """Run one request, or return the record of its key when that is finished.

    Args:
        ranks: who works on it together; each calls this with the same request, and all return the same record.
        wait: seconds to wait for another process that runs the same key.

    Raises:
        RunBusyError: another process still runs it.
        UserError: what the user asked for cannot be run; nothing is recorded.
        PeerFailed: another process raised it.
    """
    prepared = _prepared(request, reporter, ranks)
    facts = ranks.each(lambda: facts_of(prepared, ranks.world))
    check_draft(prepared, facts)
    store = RunStore(request.out)
    with ExitStack() as held:
        opened: list[AttemptFolder] = []

        def begin() -> tuple[RunRecord, Path] | None:
            attempt = held.enter_context(store.begin(request.task.address, request.method, facts.key, wait, facts.code))
            opened.append(attempt)
            # Checked under the lock: another process may have finished the key while this one waited.
            done = store.finished(facts.key, Overwrite(request.overwrite), facts.code)
            if done is None:
                return None
            attempt.discard_empty()
            return done, attempt.path.parent / f"attempt-{done.attempt}"

        done = ranks.agree(begin)
        if done is not None:
            return Finished(*done, True)
        if not ranks.first:
            return follow(prepared, ranks)
        (attempt,) = opened
        for line in doubtful_names(prepared.backbone, prepared.resolved.method.needs(), request.task.classes):
            reporter.line(line)
        record = _attempt(prepared, facts, attempt, reporter, ranks)
        if record.status != "failed":
            # Where it failed the others stand somewhere inside of the run, and are not to be spoken to.
            ranks.agree(lambda: (record, attempt.path))
    return Finished(record, attempt.path, False)


def _prepared(request: RunRequest, reporter: Reporter, ranks: Ranks) -> Prepared:
    """The request with everything opened; what has to be brought is brought by rank 0, and found by the others."""
    if not ranks.several:
        return prepare(request, reporter)
    own = replace(request, device=device_of(request.device, launched()))
    first: list[Prepared] = []
    ranks.agree(lambda: first.append(prepare(own, reporter)))
    return ranks.each(lambda: first[0] if ranks.first else prepare(own))


def follow(prepared: Prepared, ranks: Ranks) -> Finished:
    """What a process does of a run in which another one decides and writes: encode, train, and be told the end."""
    try:
        with tempfile.TemporaryDirectory(prefix="ltbench-rank-") as folder, suppress(Diverged):
            _opened(prepared, Path(folder), SILENT, ranks).phase.run()
    except UserError:
        raise
    except Exception:
        # What failed here most likely failed on rank 0 as well, which is to write that down before the launcher ends
        # all processes because this one ended.
        time.sleep(_LINGER)
        raise
    record, path = ranks.agree(_nothing)
    return Finished(record, path, False)


def _nothing() -> tuple[RunRecord, Path]:
    raise RuntimeError("only rank 0 knows the record")


def _attempt(
    prepared: Prepared, facts: RunFacts, attempt: AttemptFolder, reporter: Reporter, ranks: Ranks = ALONE
) -> RunRecord:
    """Phase 1 and phase 2 of one attempt; a failure is recorded, an interruption is not."""
    if attempt.resumed:
        reporter.line("an interrupted run of this key is continued from its last finished epoch")
    try:
        outcome = _phase1(prepared, attempt, reporter, ranks)
        content = _phase2(prepared, facts, attempt, outcome, reporter)
    except UserError:
        raise
    except Diverged as error:
        content = _unfinished(prepared, facts, attempt, "diverged", str(error), error.step)
    except Exception as error:
        if is_the_machines(error):
            raise MachineFault.of(error) from error
        write_atomic(attempt.path / "error.txt", traceback.format_exc())
        content = _unfinished(prepared, facts, attempt, "failed", f"{type(error).__name__}: {error}", None)
    record = seal(content)
    attempt.write(record)
    shutil.rmtree(attempt.checkpoints, ignore_errors=True)
    return record


@dataclass(frozen=True)
class _Opened:
    """Phase 1 of a run, before anything is trained."""

    phase: Phase1
    train: TrainView
    test: TestView
    inputs: Inputs


def _opened(prepared: Prepared, folder: Path, reporter: Reporter, ranks: Ranks) -> _Opened:
    request = prepared.request
    train = open_train(prepared.task, prepared.data, validation=request.validation)
    train = train.sampled(request.task, request.share).limited(request.limit)
    test = open_test(request.task, prepared.data).limited(request.limit)
    need_images_of(prepared, train, train.validation, test)
    phase = Phase1(setup_for(prepared, train, folder, reporter, ranks))
    if request.accumulation > 1:
        check_parts(request, phase.stages)
    started = time.perf_counter()
    inputs = phase.test_inputs(test, "encoding test images", ranks)
    phase.encoded(time.perf_counter() - started)
    return _Opened(phase, train, test, inputs)


def _phase1(prepared: Prepared, attempt: AttemptFolder, reporter: Reporter, ranks: Ranks = ALONE) -> Outcome:
    """Train and predict; when this returns, the files of phase 1 are written and closed."""
    request = prepared.request
    opened = _opened(prepared, attempt.path, reporter, ranks)
    phase, train, test, inputs = opened.phase, opened.train, opened.test, opened.inputs
    setup = phase.setup
    dtype = logits_dtype(request.task.contract)
    _begin_audit(request, attempt, reporter)
    if request.audit_selection:

        def audit(stage: int, epoch: int) -> None:
            path = attempt.audit / f"epoch-{epoch + 1:04d}.safetensors"
            write_logits(path, phase.predict(inputs, test.class_names), test.ids, test.class_names, dtype=dtype)

        setup.after_epoch.append(audit)
    best = _best_epoch(phase, train, request, attempt, reporter) if request.selects else None
    if best is not None:
        setup.after_epoch.append(best.look)
    outcome = phase.run()
    outcome.chosen = best.take() if best is not None else None
    logits = phase.predict(inputs, test.class_names)
    write_logits(attempt.logits, logits, test.ids, test.class_names, dtype=dtype)
    if outcome.decisions:
        rows, columns, epochs = zip(*outcome.decisions, strict=True)
        write_atomic(attempt.decisions, json.dumps({"rows": rows, "classes": columns, "epochs": epochs}))
    digest = _write_weights(attempt.weights, phase)
    write_kept(attempt.training, train, test.class_names, digest)
    return outcome


def _best_epoch(
    phase: Phase1, train: TrainView, request: RunRequest, attempt: AttemptFolder, reporter: Reporter
) -> BestEpoch:
    try:
        return BestEpoch(phase, train.validation, request, attempt.checkpoints)
    except Damaged as error:
        reporter.line(f"checkpoint {error.message}: the run is trained again from its start")
        shutil.rmtree(attempt.checkpoints)
        return BestEpoch(phase, train.validation, request, attempt.checkpoints)


def _begin_audit(request: RunRequest, attempt: AttemptFolder, reporter: Reporter) -> None:
    """See that an audit looks at every epoch: where a part of the run was not audited, it begins again."""
    if not request.audit_selection:
        # What is there is of an audit that will not be whole.
        shutil.rmtree(attempt.audit, ignore_errors=True)
        return
    if attempt.resumed and not attempt.audit.is_dir():
        reporter.line("the interrupted run was not audited, so it is trained again from its start")
        shutil.rmtree(attempt.checkpoints)
    attempt.audit.mkdir(exist_ok=True)


def _write_weights(path: Path, phase: Phase1) -> str | None:
    """Write the state of all modules; sha256 of the file, None when there is no state."""
    from safetensors.torch import save

    state = {name: tensor.contiguous() for name, tensor in phase.capture().items()}
    if not state:
        return None
    content = save(state)
    write_atomic(path, content)
    return hashlib.sha256(content).hexdigest()


def _phase2(
    prepared: Prepared, facts: RunFacts, attempt: AttemptFolder, outcome: Outcome, reporter: Reporter
) -> RunContent:
    """Open the true labels and judge what phase 1 wrote."""
    request = prepared.request
    started = time.perf_counter()
    reporter.line("judging")
    opened = read_logits(attempt.logits)
    truth = open_truth(prepared.task, prepared.data).limited(request.limit)
    calibrated = facts.method.calibrated
    problems = [*check_alignment(truth, opened), *check_stored(request.task, opened)]
    if problems:
        raise ValueError(f"phase 1 left logits that cannot be judged: {'; '.join(problems)}")
    judgement = judge(request.task, truth, opened.logits, calibrated=calibrated)
    oracle, oracle_epoch = (
        _oracle(request, attempt, truth, calibrated, outcome.looks) if request.audit_selection else (None, None)
    )
    return RunContent(
        **common_content(prepared, facts, attempt),
        status="completed",
        selection=Selection(
            rule=request.selection,
            oracle=oracle,
            oracle_epoch=oracle_epoch,
            epoch=outcome.chosen.epoch if outcome.chosen else None,
            score=outcome.chosen.score if outcome.chosen else None,
        ),
        scores=judgement.scores,
        intervals=judgement.intervals,
        per_class_ap=judgement.per_class_ap,
        excluded_classes=judgement.excluded,
        cost=cost_of(prepared, outcome, time.perf_counter() - started),
        logits=LogitsFacts(
            sha256=opened.sha256, rows=opened.logits.shape[0], classes=opened.logits.shape[1], dtype=opened.dtype
        ),
        decisions=file_sha256(attempt.decisions) if attempt.decisions.exists() else None,
        corrections=_corrections(prepared, attempt, outcome) if attempt.decisions.exists() else None,
    )


def _corrections(prepared: Prepared, attempt: AttemptFolder, outcome: Outcome) -> Corrections:
    """What the method decided about training labels, epoch by epoch, judged by those that the task hid."""
    request = prepared.request
    truth = open_train_truth(prepared.task, prepared.data).sampled(request.task, request.share).limited(request.limit)
    return judge_corrections(attempt.decisions, truth, outcome.epochs)


def _oracle(
    request: RunRequest, attempt: AttemptFolder, truth: Any, calibrated: bool, epochs: int
) -> tuple[Any, int | None]:
    """Best epoch by the headline metric on the test part: shown as ``oracle``, never ranked.

    Raises:
        UserError: the audit lacks an epoch; it and the checkpoints are removed.
    """
    best: tuple[float, int, Judgement] | None = None
    paths = sorted(attempt.audit.glob("epoch-*.safetensors"))
    if [path.stem for path in paths] != [f"epoch-{number:04d}" for number in range(1, epochs + 1)]:
        shutil.rmtree(attempt.audit)
        shutil.rmtree(attempt.checkpoints, ignore_errors=True)
        raise UserError(
            f"the audit looked at {len(paths)} of {epochs} epochs, so that the best of all is not known",
            "the same command again, which trains from the start",
        )
    for path in paths:
        judgement = judge(request.task, truth, read_logits(path).logits, calibrated=calibrated, replicates=1)
        value = judgement.scores[request.task.headline]["total"]
        epoch = int(path.stem.removeprefix("epoch-"))
        if value is not None and (best is None or value > best[0]):
            best = (value, epoch, judgement)
    return (None, None) if best is None else (best[2].scores, best[1])


def _unfinished(
    prepared: Prepared, facts: RunFacts, attempt: AttemptFolder, status: Any, reason: str, step: int | None
) -> RunContent:
    # Records name no paths; the whole text is in error.txt.
    line = without_paths(reason.strip().splitlines()[0] if reason.strip() else status)
    return RunContent(
        **common_content(prepared, facts, attempt),
        status=status,
        reason=line,
        step=step,
        selection=Selection(rule=prepared.request.selection),
        cost=cost_of(prepared, None, None),
    )


__all__ = ["Finished", "RunRequest", "plan", "run_one"]
