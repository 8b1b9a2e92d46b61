"""Single positive labels: the published losses on a tower, a linear head, or prompts."""
