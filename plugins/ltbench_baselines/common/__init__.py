"""What several subjects share: losses by name, a probe, prompts, fine-tuning, objectives, places of an image."""
