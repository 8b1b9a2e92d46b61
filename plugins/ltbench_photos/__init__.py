"""An encoder for photographs from two small packages of weights; ``card.md`` says how it is made and what it is not."""
