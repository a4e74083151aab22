"""How `beholder.annotation.agreement_page` becomes HTML: what is disputed, rows, drawings."""
