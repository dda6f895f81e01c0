// An OpenID Provider for people, on oidc-provider. argv[2] is the folder that it is installed in, argv[3] the settings as
// JSON: {port, certificate, key, idTokenSeconds}. It says "ready" when it listens. Then a line on stdin is done and answered:
// "rotate" puts a new signing key in front of the others, "retire" drops all but the front one.
import { createRequire } from "node:module";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import fs from "node:fs";
import https from "node:https";
import path from "node:path";
import readline from "node:readline";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(process.argv[2], "package.json"));
const { Provider, interactionPolicy } = await import(pathToFileURL(require.resolve("oidc-provider")));
const settings = JSON.parse(process.argv[3]);
const issuer = `https://127.0.0.1:${settings.port}`;

const PEOPLE = {
  alice: ["support-leads"],
  bob: ["support-leads"],
  oncall: ["oncall"],
};
// The password of everybody here.
const PASSWORD = "correct horse";
// What a login is worth: the first where nothing is asked for.
const CLASSES = ["pwd", "phr"];

// Asks for a login again where the session's class is none of those that the client wants.
const policy = interactionPolicy.base();
policy.get("login").checks.add(
  new interactionPolicy.Check("acr_values", "another class of login is asked for", ({ oidc }) => {
    const wanted = oidc.params.acr_values?.split(" ");
    return wanted !== undefined && !wanted.includes(oidc.acr) && !oidc.result?.login;
  }),
);

function signingKey() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), alg: "ES256", use: "sig" };
}

// What was issued: kept outside of the provider, which can thus be replaced while it runs. Nothing is cleared away.
const stored = new Map();

class Stored {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model} ${id}`;
  }

  by(field, value) {
    return [...stored.entries()].find(([key, it]) => key.startsWith(`${this.model} `) && it[field] === value)?.[1];
  }

  async find(id) {
    return stored.get(this.key(id));
  }

  async findByUid(uid) {
    return this.by("uid", uid);
  }

  async findByUserCode(userCode) {
    return this.by("userCode", userCode);
  }

  async upsert(id, payload) {
    stored.set(this.key(id), payload);
  }

  async consume(id) {
    stored.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    stored.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const [key, it] of stored) if (it.grantId === grantId) stored.delete(key);
  }
}

function configuration(keys) {
  return {
    adapter: Stored,
    jwks: { keys },
    cookies: { keys: [cookieKey] },
    clients: [
      {
        client_id: "lanyard-cli",
        application_type: "native",
        token_endpoint_auth_method: "none",
        redirect_uris: ["http://127.0.0.1/callback"],
        response_types: ["code"],
        grant_types: ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        id_token_signed_response_alg: "ES256",
        require_auth_time: true,
        default_acr_values: ["pwd"],
      },
    ],
    acrValues: CLASSES,
    claims: { openid: ["sub"], groups: ["groups"] },
    scopes: ["openid", "offline_access", "groups"],
    // Otherwise groups would be had from the userinfo endpoint alone.
    conformIdTokenClaims: false,
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
    interactions: { policy, url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: async (ctx, client) => client.grantTypeAllowed("refresh_token"),
    findAccount: async (ctx, sub) =>
      PEOPLE[sub] && { accountId: sub, claims: async () => ({ sub, groups: PEOPLE[sub] }) },
    async loadExistingGrant(ctx) {
      const { client, session } = ctx.oidc;
      const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope("openid offline_access groups");
      await grant.save();
      return grant;
    },
    ttl: {
      AccessToken: 600,
      AuthorizationCode: 60,
      DeviceCode: 600,
      Grant: 86400,
      IdToken: settings.idTokenSeconds,
      Interaction: 600,
      RefreshToken: 86400,
      Session: 86400,
    },
  };
}

const FORM = `<form method="post"><input name="login"><input name="password" type="password"></form>`;

async function interaction(request, response) {
  if (request.method !== "POST") {
    response.setHeader("content-type", "text/html").end(FORM);
    return;
  }
  let body = "";
  for await (const chunk of request) body += chunk;
  const form = new URLSearchParams(body);
  const login = form.get("login");
  if (!PEOPLE[login] || form.get("password") !== PASSWORD) {
    response.writeHead(401).end("no such person, or another password");
    return;
  }
  const { params } = await provider.interactionDetails(request, response);
  const acr = params.acr_values?.split(" ").find((value) => CLASSES.includes(value)) ?? CLASSES[0];
  const ts = Math.floor(Date.now() / 1000);
  await provider.interactionFinished(request, response, { login: { accountId: login, acr, ts }, consent: {} });
}

const cookieKey = randomUUID();
let keys = [signingKey()];
let provider, callback;

function serve() {
  provider = new Provider(issuer, configuration(keys));
  provider.on("server_error", (ctx, error) => console.error(error));
  callback = provider.callback();
}

serve();
const tls = { cert: fs.readFileSync(settings.certificate), key: fs.readFileSync(settings.key) };
const server = https.createServer(tls, (request, response) => {
  if (!request.url.startsWith("/interaction/")) {
    callback(request, response);
    return;
  }
  interaction(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
});
server.listen(settings.port, "127.0.0.1", () => console.log("ready"));

const commands = readline.createInterface({ input: process.stdin });
commands.on("line", (command) => {
  if (command === "rotate") keys = [signingKey(), ...keys];
  if (command === "retire") keys = keys.slice(0, 1);
  serve();
  console.log("done");
});
commands.on("close", () => process.exit());
