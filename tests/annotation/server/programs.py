"""Small programs that stand in for an installed Label Studio and the Python that installs it."""

import sys
from pathlib import Path

ANSWERS = """
import http.server, json, os, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health/" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args): pass
port = int(sys.argv[sys.argv.index("--port") + 1]) + STEP
server = http.server.HTTPServer(("127.0.0.1", port), Health)
with open("seen.json", "w") as file:
    json.dump({"argv": sys.argv, "env": dict(os.environ), "cwd": os.getcwd()}, file)
print(f"Starting development server at http://127.0.0.1:{port}/", flush=True)
server.serve_forever()
"""
SILENT = "import time; print('migrating', flush=True); time.sleep(60)"
BROKEN = "print('Traceback'); print('OperationalError: disk full'); raise SystemExit(1)"


def label_studio(
    folder: Path, program: str = ANSWERS, *, step: int = 0, release: str = "1.23.2"
) -> Path:
    """The `label-studio` of an environment that says it is of this release."""
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    write(folder / "bin" / "python", "/bin/sh", f"echo {release}")
    # -S and -I: a start takes 20 ms
    write(
        folder / "bin" / "label-studio", f"{sys.executable} -IS", program.replace("STEP", str(step))
    )
    return folder / "bin" / "label-studio"


def installing_python(path: Path, *, pip: str) -> Path:
    """A `python` that makes an environment with a python whose pip runs this line of shell."""
    inner = f"""#!/bin/sh
case "$*" in *" pip "*) {pip} ;; *) echo 1.23.2 ;; esac
"""
    write(
        path,
        "/bin/sh",
        f"""
[ "$2 $3" = "-m venv" ] || exit 9
mkdir -p "$4/bin" && cat > "$4/bin/python" <<'END' && chmod +x "$4/bin/python"
{inner}END""",
    )
    return path


def write(path: Path, interpreter: str, program: str) -> None:
    path.write_text(f"#!{interpreter}\n{program}\n")
    path.chmod(0o755)
