"""How `beholder.annotation.trust.agreement_page` becomes HTML: what is disputed, rows, drawings."""
