"""What rewards over a vision-language model share: Qwen2-VL, its prompts, pictures and weights."""
