"""A program that starts like PocketBase: each collection is a table, and every request is in the table `requests`."""

import argparse
import json
import sqlite3
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

TOKEN = "t"


class Handler(BaseHTTPRequestHandler):
    """Accepts every POST."""

    data: Path

    def do_POST(self) -> None:
        """Create the table of a collection, and record the request."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with sqlite3.connect(self.data) as connection:
            if "fields" in body and self.headers["authorization"] == f"Bearer {TOKEN}":
                names = ", ".join(field["name"] for field in body["fields"])
                connection.execute(f"CREATE TABLE {body['name']} ({names})")
            connection.execute("CREATE TABLE IF NOT EXISTS requests (path, body)")
            connection.execute("INSERT INTO requests VALUES (?, ?)", (self.path, json.dumps(body)))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"id": "pbc_1", "token": TOKEN}).encode())


def main() -> None:
    """Run one of its two commands."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", nargs="+")
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--http", default=":")
    parser.add_argument("--migrationsDir")
    options = parser.parse_args()
    Handler.data = options.dir / "data.db"
    if options.command[0] == "serve":
        host, _, port = options.http.partition(":")
        HTTPServer((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
