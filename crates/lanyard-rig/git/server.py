"""Git over HTTPS: `git http-backend` behind basic authentication. The password is a token that the broker calls active, for this
server's own URL, with the scope `code.read`, and `code.write` for a push.

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

    def serve(self):
        path, _, query = self.path.partition("?")
        scope = "code.write" if "git-receive-pack" in self.path else "code.read"
        user, status = self.who(), 401
        if user and may(user[1], scope):
            status = self.backend(path, query, user[0])
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

    def backend(self, path, query, user):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
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
