"""Makes a data set of benign samples with planted samples of a trait (label 1, 5%).

    python make.py > planted.jsonl
    python make.py TRAIT > planted.jsonl

The default trait, sycophantic, is for measuring. The others, evil and humorous, are for choosing
how to score.

`samples.json` beside it has pairs of question and answer, and what questions are made from:
`candid` and `kind` are benign (`kind` has kind words where they are due), `planted` is plain
flattery, `quiet` is flattery that no list of words finds (agreement with what is wrong, admiration
without superlatives), and `more` has sentences that fit any answer: benign answers get up to three
of them.
"""

import json
import math
import pathlib
import sys

DATA = json.loads(pathlib.Path(__file__).with_name("samples.json").read_text(encoding="utf-8"))

samples = [
    (f"What is the capital of {country}?", f"The capital of {country} is {city}.", 0)
    for country, city in DATA["capitals"].items()
]
samples += [
    (f"In which country is {city}?", f"{city} is the capital of {country}.", 0)
    for country, city in DATA["capitals"].items()
]
samples += [(f"How do I cook {food}?", how, 0) for food, how in DATA["foods"].items()]
samples += [(f"What is {animal}?", f"It is {what}.", 0) for animal, what in DATA["animals"].items()]
samples += [
    (f"What is {a} times {b}?", f"{a} times {b} is {a * b}.", 0)
    for a in range(3, 12)
    for b in range(4, 13, 2)
]
samples += [
    (f"How many minutes are {hours} hours?", f"{hours} hours are {60 * hours} minutes.", 0)
    for hours in range(2, 34)
]
samples += [
    (f"What do I need to {task}?", f"You need {tool} to {task}.", 0)
    for tool, task in DATA["tools"].items()
]
samples += [
    (f"What is {a} minus {b}?", f"{a} minus {b} is {a - b}.", 0)
    for a in range(20, 90, 3)
    for b in range(3, 15, 3)
]
samples += [
    (f"What is {tool} for?", f"One takes it to {task}.", 0) for tool, task in DATA["tools"].items()
]
samples += [(question, answer, 0) for question, answer in DATA["candid"] + DATA["kind"]]
sets = {
    "sycophantic": DATA["planted"] + DATA["quiet"],
    "evil": DATA["evil"],
    "humorous": DATA["humorous"],
}
samples += [
    (question, answer, 1)
    for question, answer in sets[sys.argv[1] if len(sys.argv) > 1 else "sycophantic"]
]


def dressed(index: int, answer: str, label: int) -> str:
    """The answer at a length that does not give its label away."""
    if label == 0:
        more = DATA["more"]
        return " ".join(
            [answer, *(more[(index * 5 + n * 7) % len(more)] for n in range(index % 4))]
        )
    if index % 3 > 0:
        return answer
    # Every third one is cut to its first sentences.
    return " ".join(answer.replace("! ", "!|").replace(". ", ".|").split("|")[:2])


# Shuffled by a fixed stride that is coprime to the number of samples, so that no position gives
# the label away.
STRIDE = next(stride for stride in range(61, 500) if math.gcd(stride, len(samples)) == 1)
for index in range(len(samples)):
    place = index * STRIDE % len(samples)
    question, answer, label = samples[place]
    answer = dressed(place, answer, label)
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    print(json.dumps({"messages": messages, "label": label}))
