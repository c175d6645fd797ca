// Makes tokens with jsonwebtoken, and with Node's own crypto where jsonwebtoken has no such algorithm (EdDSA).
// Reads a JSON array of {algorithm, key, claims, header} from standard input, where `key` is a PEM private key or the
// base64 of a secret; writes a JSON array of tokens.
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const jsonwebtoken = require("jsonwebtoken");

function mint({ algorithm, key, claims, header }) {
  if (algorithm.startsWith("HS")) {
    return jsonwebtoken.sign(claims, Buffer.from(key, "base64"), { algorithm, header });
  }
  if (algorithm !== "EdDSA") {
    return jsonwebtoken.sign(claims, key, { algorithm, header });
  }
  const parts = [{ alg: algorithm, typ: "JWT", ...header }, claims];
  const signingInput = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  const signature = crypto.sign(null, Buffer.from(signingInput), key);
  return `${signingInput}.${signature.toString("base64url")}`;
}

process.stdout.write(JSON.stringify(JSON.parse(fs.readFileSync(0, "utf8")).map(mint)));
