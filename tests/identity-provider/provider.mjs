// A real identity provider for tests: `node provider.mjs FOLDER`. Prints one line of JSON with its address once it listens.
//
// Whoever signs in types any name and any password; the groups of a name are those after `+`: `ann+ml+ops` is `ann`, in `ml`
// and `ops`. POST /test/rotate gives it new keys, as a provider does now and then; POST /test/register takes the URLs that a
// server is asked by.
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";
import { resolve } from "node:path";

// Its packages are installed elsewhere, so that nothing is written beside this file.
const load = (file) => import(pathToFileURL(resolve(process.argv[2], "node_modules", file)).href);
const { default: Provider } = await load("oidc-provider/lib/index.js");
const { exportJWK, generateKeyPair } = await load("jose/dist/node/esm/index.js");

let issuer, callback;
let redirects = ["http://127.0.0.1:1/sign-in/oidc/callback"];
let rotations = 0;

async function begin() {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  const key = { ...(await exportJWK(privateKey)), kid: `key-${rotations++}`, alg: "RS256", use: "sig" };
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "provenv",
        client_secret: "a secret/with+signs",
        grant_types: ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
        redirect_uris: redirects,
        response_types: ["code"],
        application_type: "web",
      },
    ],
    jwks: { keys: [key] },
    cookies: { keys: ["test"] },
    pkce: { required: () => true, methods: ["S256"] },
    claims: { openid: ["sub"], profile: ["preferred_username"], groups: ["groups"] },
    scopes: ["openid", "profile", "groups"],
    features: { deviceFlow: { enabled: true }, devInteractions: { enabled: true } },
    async findAccount(_, id) {
      const [name, ...groups] = id.split("+");
      return { accountId: id, claims: async () => ({ sub: `subject-${name}`, preferred_username: name, groups }) };
    },
  });
  provider.on("server_error", (_, error) => console.error(error));
  callback = provider.callback();
}

const server = createServer(async (request, response) => {
  if (request.method === "POST" && request.url.startsWith("/test/")) {
    if (request.url === "/test/register") {
      let body = "";
      for await (const part of request) body += part;
      redirects = JSON.parse(body);
    }
    await begin();
    response.writeHead(200, { "Content-Length": 0 });
    response.end();
    return;
  }
  callback(request, response);
});
server.listen(0, "127.0.0.1", async () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  await begin();
  console.log(JSON.stringify({ issuer }));
});
// It ends with whoever started it.
process.stdin.on("end", () => process.exit(0)).resume();
