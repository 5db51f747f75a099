"""vLLM's first model runner: processors, and GPUs where the second is switched off."""
