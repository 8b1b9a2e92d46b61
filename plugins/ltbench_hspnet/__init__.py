"""HSPNet: class prompts made from groups of classes and graphs over both, for single positive and partial labels."""
