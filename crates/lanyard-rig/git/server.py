"""Git over HTTPS: `git http-backend` and the batch API of git-lfs behind basic authentication. The password is a token that the
broker calls active, for this server's own URL, with the scope `code.read`, and `code.write` for a push.

usage: server.py FOLDER PORT CERTIFICATE KEY AUTHORITY BROKER LANYARD CONTEXT; a line a request on stdout: METHOD PATH USER STATUS.
"""

import base64
import http.server
import json
import os
import ssl
import subprocess
import sys
import urllib.parse
import urllib.request

folder, port, certificate, key, authority, broker, lanyard, context = sys.argv[1:]
own = f"https://127.0.0.1:{port}"
trust = ssl.create_default_context(cafile=authority)
LFS = ".git/info/lfs/"


def introspect(token):
    proof = subprocess.check_output([lanyard, "--context", context, "identity"], text=True).strip()
    form = urllib.parse.urlencode({"token": token}).encode()
    request = urllib.request.Request(
        f"{broker}/oauth2/introspect", data=form, headers={"Authorization": f"Bearer {proof}"}
    )
    with urllib.request.urlopen(request, context=trust) as answer:
        return json.load(answer)


def may(token, scope):
    told = introspect(token)
    audience = told.get("aud")
    audience = audience if isinstance(audience, list) else [audience]
    return told.get("active") is True and own in audience and scope in told.get("scope", "").split()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.serve()

    def do_POST(self):
        self.serve()

    def do_PUT(self):
        self.serve()

    def serve(self):
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        writes = "git-receive-pack" in self.path or self.command == "PUT"
        scope = "code.write" if writes else "code.read"
        user, status = self.who(), 401
        if user and may(user[1], scope):
            serve = self.lfs if LFS in path else self.backend
            status = serve(path, query, user[0], body)
        else:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="code"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        print(self.command, path, user[0] if user else "-", status, flush=True)

    def who(self):
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "basic":
            return None
        return base64.b64decode(value).decode().split(":", 1)

    def lfs(self, path, _query, _user, body):
        """Objects lie in one folder, each under its id; there are no locks."""
        repository, _, what = path.partition(LFS)
        file = os.path.join(folder, f"lfs-{os.path.basename(what)}")
        status, answer, kind = 404, b"{}", "application/vnd.git-lfs+json"
        if self.command == "POST" and what == "objects/batch":
            asked = json.loads(body)
            action = asked["operation"]
            href = f"{own}{repository}{LFS}objects/"
            objects = [{**one, "actions": {action: {"href": href + one["oid"]}}} for one in asked["objects"]]
            status, answer = 200, json.dumps({"transfer": "basic", "objects": objects}).encode()
        elif self.command == "PUT" and what.startswith("objects/"):
            with open(file, "wb") as kept:
                kept.write(body)
            status, answer = 200, b""
        elif self.command == "GET" and os.path.exists(file):
            with open(file, "rb") as kept:
                status, answer, kind = 200, kept.read(), "application/octet-stream"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        return status

    def backend(self, path, query, user, body):
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": folder,
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": user,
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, stdout=subprocess.PIPE, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        self.send_response(status)
        for name, value in headers:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        return status

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(certificate, key)
server.socket = tls.wrap_socket(server.socket, server_side=True)
server.serve_forever()
