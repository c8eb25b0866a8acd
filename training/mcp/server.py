"""The tools as a server of the Model Context Protocol, on standard input and output."""

import json
import traceback
from collections.abc import AsyncIterable
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from text_recognizer import __version__
from text_recognizer.errors import TextRecognizerError
from training.mcp.tools import CHANGING, Tools
from training.ui.events import json_of

INSTRUCTIONS = (
    "Experiments in handwriting recognition. run_experiment and run_sweep return at once: ask show_run or show_sweep "
    "how it goes. Every answer says what is left of the budget. Choose by validation figures: the test split is "
    "sealed, and test_figures, which opens the seal of one run, is counted and written into its folder."
)


def server_of(tools: Tools) -> Server[Any]:
    async def listed(_context: Any, _params: Any) -> types.ListToolsResult:
        found = [
            types.Tool(
                name=name,
                description=meaning,
                input_schema=schema,
                annotations=types.ToolAnnotations(read_only_hint=name not in CHANGING, open_world_hint=False),
            )
            for name, meaning, schema in tools.described()
        ]
        return types.ListToolsResult(tools=found)

    async def called(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        return await anyio.to_thread.run_sync(answered, tools, params.name, params.arguments or {})

    settings: dict[str, Any] = {"version": __version__, "instructions": INSTRUCTIONS}
    return Server("text-recognizer", on_list_tools=listed, on_call_tool=called, **settings)


def answered(tools: Tools, name: str, arguments: dict[str, Any]) -> types.CallToolResult:
    """The result of a tool, or its error message."""
    refusal = None
    try:
        answer = tools.call(name, arguments)
    except (TextRecognizerError, OSError) as error:
        refusal = str(error)
    except Exception:  # noqa: BLE001 - the agent continues
        traceback.print_exc()
        refusal = "this is a bug in Text Recognizer; standard error of the server has the traceback."
    if refusal is not None:
        answer = {"error": refusal, "budget": tools.budget.left()}
    # A file name may contain lone surrogates, and a metric may be NaN, which are not valid JSON.
    plain = json.dumps(json.loads(json_of(answer)), ensure_ascii=False).encode(errors="replace").decode()
    answer = json.loads(plain)
    content = types.TextContent(type="text", text=answer["error"] if refusal is not None else plain)
    return types.CallToolResult(content=[content], structured_content=answer, is_error=refusal is not None)


async def serve(tools: Tools) -> None:
    """Serves until the client disconnects. Started runs continue."""
    server = server_of(tools)
    async with stdio_server() as (incoming, outgoing), anyio.create_task_group() as group:
        handed_on, messages = anyio.create_memory_object_stream[SessionMessage | Exception]()
        group.start_soon(_refuse_others, incoming, handed_on, outgoing)
        await server.run(messages, outgoing, server.create_initialization_options())


async def _refuse_others(
    incoming: AsyncIterable[SessionMessage | Exception],
    handed_on: MemoryObjectSendStream[SessionMessage | Exception],
    outgoing: Any,
) -> None:
    """Answers lines that are not messages, as required by JSON-RPC 2.0; the library ignores them."""
    async with handed_on:
        async for item in incoming:
            if not isinstance(item, ValidationError):
                await handed_on.send(item)
            elif str(item.errors()[0]["input"]).strip():  # a blank line is not a request
                await outgoing.send(SessionMessage(_refusal(item)))


def _refusal(error: ValidationError) -> types.JSONRPCError:
    if error.errors()[0]["type"] == "json_invalid":
        what = types.ErrorData(code=types.PARSE_ERROR, message="the line is not JSON.")
    else:
        what = types.ErrorData(code=types.INVALID_REQUEST, message="the line is not one message of JSON-RPC 2.0.")
    return types.JSONRPCError(jsonrpc="2.0", id=None, error=what)
