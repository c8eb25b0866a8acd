"""Calls of tools as an agent makes them, through the library's own client."""

import asyncio
import json

import pytest

pytest.importorskip("mcp")

from mcp import Client

from training.mcp.server import server_of

SPEC = {
    "dataset": "DigitsDataset",
    "model": "CharacterModel",
    "network": "mlp",
    "network_args": {"num_layers": 1, "layer_size": 8},
    "train_args": {"epochs": 1, "steps_per_epoch": 2},
}


def called(tools, tool, /, **arguments):
    """The answer of a tool through the library's own client; the text of a refusal."""

    async def call():
        async with Client(server_of(tools)) as client:
            return await client.call_tool(tool, arguments)

    result = asyncio.run(call())
    text = result.content[0].text
    if result.is_error:
        assert result.structured_content["budget"] == tools.budget.left()
        assert "bug in Text Recognizer" not in text
        return text
    assert json.loads(text) == result.structured_content
    return result.structured_content
