"""Opens a folder in headless Chromium, with a script that tells what it found."""

import contextlib
import functools
import http.server
import json
import os
import queue
import signal
import subprocess
import threading

_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
_SECONDS = 120
_TOLD = """
const tell = (told) => fetch("/told", {method: "POST", body: JSON.stringify(told)});
addEventListener("unhandledrejection", (event) => tell({error: String(event.reason?.stack)}));
addEventListener("error", (event) => tell({error: event.message}));
"""


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Gives the files of a folder and the test's own page, and takes what that page tells."""

    def __init__(self, *args, page, told, asked, **kwargs):
        self.page, self.told, self.asked = page, told, asked
        super().__init__(*args, **kwargs)

    def do_GET(self):
        self.asked.append(self.path)
        if self.path != "/test.html":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.page.encode())

    def do_POST(self):
        self.told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder, page=""):
    """Yields the URL of a folder and of /test.html, what was told, and which paths were asked."""
    told, asked = queue.Queue(), []
    handler = functools.partial(_Handler, directory=folder, page=page, told=told, asked=asked)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", told, asked
        server.shutdown()


def ask(chromium, folder, script, user, *, head="", size=(1000, 1400), dark=False):
    """Runs the body of an async function in a page beside those of `folder`.

    Returns what its `return` gives and which paths were asked for. `frame` in the script is an
    iframe of `size`, empty at first.
    """
    page = (
        f'<!doctype html><meta charset="utf-8">{head}<body style="margin:0">'
        f'<iframe id="frame" width="{size[0]}" height="{size[1]}" style="border:0"></iframe>'
        f'<script type="module">{_TOLD}\nconst frame = document.getElementById("frame");'
        f"tell({{found: await (async () => {{{script}}})()}});</script>"
    )
    with served(folder, page) as (url, told, asked):
        options = [*_OPTIONS, f"--user-data-dir={user}", f"--window-size={size[0]},{size[1]}"]
        options += ["--blink-settings=preferredColorScheme=0"] if dark else []
        command = [chromium, *options, "--remote-debugging-port=0", f"{url}/test.html"]
        # A session of its own: Debian's chromium is a script, whose children would stay.
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            try:
                answer = told.get(timeout=_SECONDS)
            finally:
                os.killpg(process.pid, signal.SIGKILL)
    assert "found" in answer, answer
    return answer["found"], asked
