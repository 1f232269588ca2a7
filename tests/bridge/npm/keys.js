// SPDX-License-Identifier: Apache-2.0

// Makes keys for a test, and prints as JSON what a server and a client need of them:
//   nkey         a user's seed and public key
//   nkey_public  that public key
//   operator     the server's configuration, by which an operator vouches for an account, and that for a user
//   creds        the credentials of that user
//   stranger     credentials of a user whom nobody vouches for

"use strict";
const { createHash } = require("crypto");
const { nkeys } = require("nats");

const text = (bytes) => new TextDecoder().decode(bytes);
const base64url = (bytes) => Buffer.from(bytes).toString("base64url");

function token(issuer, subject, name, nats) {
    const claims = { iat: 1700000000, iss: issuer.getPublicKey(), name, sub: subject, nats: { version: 2, ...nats } };
    claims.jti = createHash("sha512-256").update(JSON.stringify(claims)).digest("hex").toUpperCase();
    const body = [{ typ: "JWT", alg: "ed25519-nkey" }, claims].map((part) => base64url(JSON.stringify(part))).join(".");
    return `${body}.${base64url(issuer.sign(new TextEncoder().encode(body)))}`;
}

const limits = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
const with_streams = { ...limits, mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
const everything = { pub: {}, sub: {}, subs: -1, data: -1, payload: -1, type: "user" };

function credentials(account, user) {
    return `-----BEGIN NATS USER JWT-----\n${token(account, user.getPublicKey(), "user", everything)}\n` +
        `------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n${text(user.getSeed())}\n` +
        "------END USER NKEY SEED------\n";
}

const operator = nkeys.createOperator();
const account = nkeys.createAccount();
const system = nkeys.createAccount();
const user = nkeys.createUser();
const vouched = [[account, with_streams], [system, limits]].map(([one, its_limits]) =>
    [one.getPublicKey(), token(operator, one.getPublicKey(), "account", { type: "account", limits: its_limits })]);
console.log(JSON.stringify({
    nkey: `${text(user.getSeed())}\n${user.getPublicKey()}\n`,
    nkey_public: user.getPublicKey(),
    operator: `operator: ${token(operator, operator.getPublicKey(), "operator", { type: "operator" })}\n` +
        `resolver: MEMORY\nsystem_account: ${system.getPublicKey()}\n` +
        `resolver_preload: { ${vouched.map(([key, jwt]) => `${key}: ${jwt}`).join(", ")} }\n`,
    creds: credentials(account, user),
    stranger: credentials(nkeys.createAccount(), nkeys.createUser()),
}));
