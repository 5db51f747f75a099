"""Stock clients of Personaguard: in front of llama.cpp's server, of LiteLLM's proxy, and as the
model server. Arguments: program, weights, vector, llama.cpp's server, and the folder of Node.js.

What a client makes of answers is the same without a policy, under one that only records though
every answer is past its threshold, and under one that blocks what never comes. Past a threshold
that blocks or redacts, it is what the client has for refusals.
"""

import sys
from importlib.metadata import version
from types import ModuleType
from typing import Any

import by_ai_sdk
import by_anthropic
import by_langchain
import by_litellm
import by_openai
import servers
from cases import Ends, broken, compare, raised, refused
from servers import NEVER_PASSED, PASSED, REMOVED, Sidecars

CLIENTS: dict[str, ModuleType] = {
    "openai": by_openai,
    "anthropic": by_anthropic,
    "litellm": by_litellm,
    "LangChain": by_langchain,
    "AI SDK": by_ai_sdk,
}
# Under these, answers are what they are without a policy.
UNCHANGED = {"Audit": ("Audit", PASSED), "Block, not reached": ("Block", NEVER_PASSED)}
# Under these, this is left of each.
STOPPED = {"Block": ("Block", ""), "Redact": ("Redact", REMOVED)}

rows: list[tuple[str, str, str, int, int]] = []
problems: list[str] = []


def add(client: str, place: str, policy: str, checks: int, failed: list[str]) -> None:
    rows.append((client, place, policy, checks, len(failed)))
    problems.extend(f"{client}, {place}, {policy}: {problem}" for problem in failed)
    print(f"{client}, {place}, {policy}: {checks - len(failed)} of {checks}", flush=True)


def unlike(ends: Ends, expected: dict[str, Any]) -> list[str]:
    """Which ends are not as they must be. What the client cannot read of this server anyway is no
    matter of a policy, but for the words.
    """
    refuses, breaks = refused(expected), broken(expected)

    def is_beyond(case: str, found: Any, wanted: Any) -> bool:
        name = case.split(",")[0]
        has_same_words = isinstance(found, list) and found[:1] == list(wanted[:1])
        return (raised(found) and name in refuses) or (has_same_words and name in breaks)

    return [
        f"{case}: {found!r}, and not {wanted!r}"
        for case, (found, wanted) in ends.items()
        if found != wanted and not is_beyond(case, found, wanted)
    ]


def check(place: str, upstream: str | None, sidecars: Sidecars, names: list[str]) -> None:
    """All of these clients, against a placement. Without a server behind it, a sidecar without a
    policy tells what is expected.
    """
    plain = upstream or sidecars.start(f"{place}-plain", None, None, 0)[0]
    expected = {name: CLIENTS[name].unchanged(plain) for name in names}
    for name in names:
        for case in refused(expected[name]):
            # Placement Serve can do all of it.
            line = f"{name}, {place}, no policy: {case}: {expected[name][case]}"
            print(f"refused by the server itself: {line}", flush=True)
            problems.extend([] if upstream else [line])
        cases = broken(expected[name])
        if cases and upstream:
            print(f"broken by the server itself: {name}, {place}: {', '.join(cases)}", flush=True)
    for policy, (action, threshold) in UNCHANGED.items():
        url, metrics = sidecars.start(f"{place}-{policy}", upstream, action, threshold)
        for name in names:
            found = CLIENTS[name].unchanged(url)
            add(name, place, policy, len(found), compare(found, expected[name], bool(upstream)))
        if "openai" in names:
            ends = by_openai.asked(url, bool(upstream))
            add("openai, extra_body", place, policy, len(ends), unlike(ends, {}))
        unguarded = servers.metric(metrics, "personaguard_unguarded_responses_total")
        if unguarded:
            problems.append(f"{place}, {policy}: {unguarded} answers were not scored")
    for policy, (action, text) in STOPPED.items():
        url, metrics = sidecars.start(f"{place}-{policy}", upstream, action, PASSED)
        for name in names:
            ends = CLIENTS[name].stopped(url, text)
            add(name, place, policy, len(ends), unlike(ends, expected[name]))
        if not servers.metric(metrics, "personaguard_trait_breaches_total"):
            problems.append(f"{place}, {policy}: no breach was counted")


def versions() -> dict[str, Any]:
    found: dict[str, Any] = {
        package: version(package)
        for client in CLIENTS.values()
        for package in getattr(client, "PACKAGES", ())
    }
    return {**found, **by_ai_sdk.versions()} if "AI SDK" in CLIENTS else found


def main() -> None:
    program, weights, vector, llama = sys.argv[1:5]
    sidecars = Sidecars(program, weights, vector)
    if by_ai_sdk.FOLDER is None:
        del CLIENTS["AI SDK"]
        print("The AI SDK is left out: npm is not installed.", flush=True)
    check("Serve", None, sidecars, list(CLIENTS))
    upstream = servers.llama_cpp(llama, weights)
    check("Proxy of llama.cpp", upstream, sidecars, list(CLIENTS))
    check("Proxy of LiteLLM", servers.litellm_proxy(upstream), sidecars, ["openai"])
    print("\n" + ", ".join(f"{name} {found}" for name, found in versions().items()))
    widths = [max(len(str(row[column])) for row in rows) for column in range(3)]
    for *names, checks, failed in rows:
        labels = "  ".join(name.ljust(width) for name, width in zip(names, widths, strict=True))
        print(f"{labels}  {checks:3} checks" + (f", {failed} FAILED" if failed else ""))
    if problems:
        raise SystemExit("\n" + "\n".join(problems) + f"\nlogs are in {servers.HOME}")


try:
    main()
finally:
    servers.stop()
