"""Runs Exchange.cs, compiled, on .NET Core 3.1; and ``invoke``, which is Invoke-RestMethod of PowerShell 7: HttpClient.

The same lines in and out. Started with the path of the program.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

FRAMEWORK = {"name": "Microsoft.NETCore.App", "version": "3.1.0"}
RUNTIME = {"runtimeOptions": {"tfm": "netcoreapp3.1", "framework": FRAMEWORK}}
AGENT = "Mozilla/5.0 (Windows NT 10.0; Microsoft Windows 10.0.22621; en-US) PowerShell/7.0.13"


def start(program: Path) -> Any:
    """The runtime, and in it the program's method that answers a line."""
    os.environ["DOTNET_SYSTEM_GLOBALIZATION_INVARIANT"] = "1"
    import dotnetcore2
    from pythonnet import load

    settings = program.with_suffix(".runtimeconfig.json")
    settings.write_text(json.dumps(RUNTIME), encoding="utf-8")
    load("coreclr", runtime_config=str(settings), dotnet_root=str(Path(dotnetcore2.__file__).parent / "bin"))
    import clr

    clr.AddReference("System.Net.Http")
    clr.AddReference("System.Private.Uri")
    from System.Reflection import Assembly

    return Assembly.LoadFrom(str(program)).GetType("Exchange").GetMethod("Answer")


def invoke(line: str) -> str:
    """As Invoke-RestMethod of 7 does it: no consent asked for, headers and body in one go."""
    from System import Array, Byte, Uri
    from System.Net.Http import ByteArrayContent, HttpClient, HttpMethod, HttpRequestMessage
    from System.Net.Http.Headers import MediaTypeHeaderValue

    _, method, address, _, content_type, content = line.split("\t")
    client = HttpClient()
    request = HttpRequestMessage(HttpMethod(method), Uri(address))
    request.Headers.TryAddWithoutValidation("User-Agent", AGENT)
    if content != "-":
        request.Content = ByteArrayContent(Array[Byte](base64.b64decode(content)))
        request.Content.Headers.ContentType = MediaTypeHeaderValue.Parse(content_type)
    sending = client.SendAsync(request)
    sending.Wait()  # before Result: the property would keep Python's lock while it waits
    response = sending.Result
    reading = response.Content.ReadAsByteArrayAsync()
    reading.Wait()
    headers = response.Content.Headers
    text = base64.b64encode(bytes(reading.Result)).decode()
    return f"{int(response.StatusCode)}\t\t\t{headers.ContentType}\t{text}"


def main() -> None:
    answer = start(Path(sys.argv[1]))
    from System import Array, Object

    for line in sys.stdin:
        told = line.rstrip("\n")
        print(invoke(told) if told.startswith("invoke\t") else answer.Invoke(None, Array[Object]([told])), flush=True)


if __name__ == "__main__":
    main()
