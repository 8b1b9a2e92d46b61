"""On what CLIP gives: zero-shot, linear probes, learned prompts, fine-tuning."""
