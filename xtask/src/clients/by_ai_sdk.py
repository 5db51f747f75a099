"""Vercel's AI SDK, which runs in Node.js: `ai_sdk.mjs`."""

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

from cases import Broken, Ends, plain
from servers import KEY, MODEL

# The folder with Node.js and the packages is the script's last argument, where there is one.
FOLDER = pathlib.Path(sys.argv[5]) if len(sys.argv) > 5 else None
SCRIPT = "ai_sdk.mjs"


def versions() -> dict[str, str]:
    assert FOLDER is not None
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    return {name: version for name, version in wanted.items() if name.startswith(("ai", "@ai-sdk"))}


def run(mode: str, url: str) -> dict[str, Any]:
    assert FOLDER is not None
    node = FOLDER / "node_modules" / ".bin" / "node"
    environment = {**os.environ, "OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY}
    done = subprocess.run(
        [str(node), SCRIPT, mode, url, MODEL],
        cwd=FOLDER,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def unchanged(url: str) -> dict[str, Any]:
    def read(value: Any) -> Any:
        is_broken = isinstance(value, dict) and "broken" in value
        return Broken(value) if is_broken else plain(value)

    return {name: read(value) for name, value in run("unchanged", url).items()}


def stopped(url: str, text: str) -> Ends:
    """What becomes of answers past a threshold, with what it must be."""
    no_object = "AI_NoObjectGeneratedError" if text else "AI_NoOutputGeneratedError"
    errors = {"call": "AI_ToolChoiceViolationError", "object": no_object}
    cut = [text, "content-filter"]
    found = run("stopped", url)
    return {name: (value, errors.get(name.split(",")[0], cut)) for name, value in found.items()}
