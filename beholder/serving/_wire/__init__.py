"""What other trainers send, read to items, and answers in their words; nothing knows HTTP."""
