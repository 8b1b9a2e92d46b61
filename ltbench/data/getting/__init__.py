"""How data get here: what is needed, what is here, what to bring, bring, check."""
