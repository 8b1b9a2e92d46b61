"""Long-tailed labels: losses and samplers on a fine-tuned tower, and towers with several ends."""
