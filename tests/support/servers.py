"""Real `mainspring up` processes."""

import json
import os
import signal
import subprocess
import sys


class UpProcess:
    """The owner plus HTTP; `told` is what it printed."""

    def __init__(self, *words, port=0, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mainspring", "up", "--port", str(port), "--json", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        text = ""
        for line in self.process.stdout:
            text += line
            if line.rstrip() == "}":
                break
        if not text:
            raise RuntimeError(self.process.communicate()[1])
        self.told = json.loads(text)
        self.url = self.told["url"]
        self.port = int(self.url.rpartition(":")[2])

    def kill(self):
        self.process.kill()
        self.process.communicate(timeout=20)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.communicate(timeout=20)
