"""vLLM's second model runner, the default on GPUs."""
