"""The paper's tables and claims: what was published, beside what our runs say."""
