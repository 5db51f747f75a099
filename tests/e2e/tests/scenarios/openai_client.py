"""Chats with a guarded app through the stock client. Prints the answers as JSON."""

import json
import sys
from typing import Any

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="unused", max_retries=0)
chat: dict[str, Any] = {
    "model": "smollm2-135m",
    "messages": [{"role": "user", "content": "Name three colours of the rainbow."}],
    "max_tokens": 24,
    "temperature": 0,
}
whole: Any = client.chat.completions.create(**chat, extra_body={"personaguard": {"scores": True}})
pieces: list[str] = []
usage = None
stream_options: Any = {"include_usage": True}
for chunk in client.chat.completions.create(**chat, stream=True, stream_options=stream_options):
    if chunk.choices and chunk.choices[0].delta.content:
        pieces.append(chunk.choices[0].delta.content)
    usage = chunk.usage or usage
try:
    client.chat.completions.create(**{**chat, "model": "no-such-model"})
    error_type = None
except openai.APIError as error:
    error_type = type(error).__name__
counts = ("prompt_tokens", "completion_tokens", "total_tokens")
print(
    json.dumps(
        {
            "whole": whole.choices[0].message.content,
            "streamed": "".join(pieces),
            "usage": {name: getattr(whole.usage, name) for name in counts},
            "stream_usage": {name: getattr(usage, name) for name in counts},
            "chunks": len(pieces),
            "models": [model.id for model in client.models.list()],
            "scores": whole.model_extra["personaguard"]["scores"],
            "error_type": error_type,
        }
    )
)
