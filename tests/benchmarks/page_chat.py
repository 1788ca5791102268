"""Chat on the page of benchmarks."""

from typing import Any

from tests.benchmarks.page_tables import table

_CHAT = """
The bundled policy on a CPU behind real uvicorn and Redis, followed over sockets as pages open them. *First token*: from
the page's request until its socket tells the first word that the model wrote; the engine's own is measured in the same
run without anything around it. *At once*: the chat worker alone on one core, all else on the other, the next question
waiting for each that is answered; the engine alone, given the same requests, as many at a time, on the worker's core.
Both in turn; the share is of the time that all rounds took together, its interval from drawing pairs of rounds anew.
The answers are short (65 tokens in the mean): what is done once for each weighs more than where they are long. Both
vary from round to round, with the processor time that the same work needs here.
"""


def chat(figures: dict[str, Any]) -> str:
    """The section's text."""
    first, many, streams = figures["first_token"], figures["many"], figures["streams"]
    rows: list[tuple[str, ...]] = [
        ("figure", "median", "p95", "wanted"),
        ("first token", f"{first['median_ms']} ms", f"{first['p95_ms']} ms", ""),
        ("first token, the engine's own", f"{first['engine']['median_ms']} ms", f"{first['engine']['p95_ms']} ms", ""),
        ("what chat adds to it", "", f"**{first['more_ms']} ms**", f"at most {first['wanted_more_ms']} ms"),
    ]
    for key, name in (("scores", "a step's score after the step's end"), ("stop", "stop, until the slot is free")):
        each = figures[key]
        wanted = f"at most {each['wanted_ms']} ms"
        rows.append((name, f"{each['median_ms']} ms", f"**{each['p95_ms']} ms**", wanted))
    shares = f"**{many['share']:.0%}** of the engine's {many['engine_tokens_per_s']:,}"
    streaming = f"{many['share_of_streaming']:.0%} of the {many['streaming_engine_tokens_per_s']:,} that it gives"
    return (
        f"{table(rows)}{_CHAT}\n{many['chats']} chats at once: {many['chat_tokens_per_s']:,} tokens a second, "
        f"{shares} (95% interval {many['share_low']:.0%} to {many['share_high']:.0%}; "
        f"wanted: at least {many['wanted_share']:.0%}), {streaming} when it streams; "
        f"{many['pairs']} pairs, one by one {', '.join(format(each, '.0%') for each in many['shares'])}. "
        f"Of the worker's processor time its engine had {many['engine_share_of_processor']:.0%}.\n\n"
        f"{streams['streams']} streams through one web process, {streams['characters']:,} characters: "
        f"**{streams['wrong']}** differ from what was written (wanted: 0).\n"
    )
