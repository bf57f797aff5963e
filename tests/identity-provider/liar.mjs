// An identity provider that lies as it is told: `node liar.mjs FOLDER`. POST /test/lie with JSON says how the next identity token
// is wrong: `nonce`, `aud`, `iss`, `exp` (seconds from now), `alg` ("none", "HS256"), `stranger` (a key that is not published),
// `subject` (of userinfo), `status` (of the token endpoint), `description` (what discovery says otherwise).
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";
import { resolve } from "node:path";

const jose = resolve(process.argv[2], "node_modules/jose/dist/node/esm/index.js");
const { SignJWT, UnsecuredJWT, exportJWK, generateKeyPair } = await import(pathToFileURL(jose).href);

const own = await generateKeyPair("ES256", { extractable: true });
const stranger = await generateKeyPair("ES256", { extractable: true });
let lie = {};
let issuer;
const nonces = new Map();

async function token(nonce) {
  const claims = { sub: "subject-eve", preferred_username: "eve", nonce: lie.nonce ?? nonce };
  const now = Math.floor(Date.now() / 1000);
  const dress = (jwt) =>
    jwt.setIssuer(lie.iss ?? issuer).setAudience(lie.aud ?? "provenv").setIssuedAt(now).setExpirationTime(now + (lie.exp ?? 300));
  if (lie.alg === "none") return dress(new UnsecuredJWT(claims)).encode();
  if (lie.alg === "HS256") {
    const secret = new TextEncoder().encode("a secret/with+signs");
    return dress(new SignJWT(claims)).setProtectedHeader({ alg: "HS256" }).sign(secret);
  }
  const key = lie.stranger ? stranger.privateKey : own.privateKey;
  return dress(new SignJWT(claims)).setProtectedHeader({ alg: "ES256", kid: "own" }).sign(key);
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, issuer);
  const answer = (status, body) => {
    const text = JSON.stringify(body);
    response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
    response.end(text);
  };
  let body = "";
  for await (const part of request) body += part;
  switch (url.pathname) {
    case "/test/lie":
      lie = JSON.parse(body);
      return answer(200, {});
    case "/.well-known/openid-configuration":
      return answer(200, {
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/keys`,
        userinfo_endpoint: `${issuer}/userinfo`,
        ...lie.description,
      });
    case "/keys":
      return answer(200, { keys: [{ ...(await exportJWK(own.publicKey)), kid: "own", alg: "ES256", use: "sig" }] });
    case "/authorize": {
      const code = `code-${nonces.size}`;
      nonces.set(code, url.searchParams.get("nonce"));
      const back = new URL(url.searchParams.get("redirect_uri"));
      back.searchParams.set("code", code);
      back.searchParams.set("state", url.searchParams.get("state"));
      response.writeHead(303, { Location: back.href, "Content-Length": 0 });
      return response.end();
    }
    case "/token": {
      if (lie.status) return answer(lie.status, { error: "server_error" });
      const nonce = nonces.get(new URLSearchParams(body).get("code"));
      return answer(200, { access_token: "a", token_type: "Bearer", id_token: await token(nonce) });
    }
    case "/userinfo":
      return answer(200, { sub: lie.subject ?? "subject-eve", groups: [] });
    default:
      return answer(404, { error: "invalid_request" });
  }
});
server.listen(0, "127.0.0.1", () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  console.log(JSON.stringify({ issuer }));
});
process.stdin.on("end", () => process.exit(0)).resume();
