// What spec/src/mls.md and conventions.md say that is not MLS, and how ts-mls is set up for it.

import { createHash } from "node:crypto"
import { decodeMlsMessage, defaultKeyPackageEqualityConfig, defaultLifetimeConfig, mlsExporter } from "ts-mls"

const DAYS_84_AND_AN_HOUR = (84n * 24n + 1n) * 3600n

// How ts-mls is set up, with who says whether a BasicCredential may stand beside a signature key.
export function configOf(validateBasicCredential) {
  return {
    // MLS-033. No past epoch is kept (MLS-018): see `enter`, for 0 here keeps all.
    keyRetentionConfig: { retainKeysForEpochs: 1, retainKeysForGenerations: 1024, maximumForwardRatchetSteps: 1024 },
    // MLS-016: receivers do not judge lifetimes.
    lifetimeConfig: { ...defaultLifetimeConfig, maximumTotalLifetime: DAYS_84_AND_AN_HOUR, validateLifetimeOnReceive: false },
    keyPackageEqualityConfig: defaultKeyPackageEqualityConfig,
    // The padding is the profile's, inside.
    paddingConfig: { kind: "alwaysPad", paddingLength: 0 },
    authService: {
      async validateCredential(credential, signatureKey) {
        return credential.credentialType === "basic" && validateBasicCredential(credential, signatureKey)
      },
    },
  }
}

// MLS-005: an MLSMessage with nothing after it.
export function parse(given, wireformat) {
  const [parsed, end] = decodeMlsMessage(given, 0) ?? []
  if (parsed?.wireformat !== wireformat || end !== given.length) throw new Error(`not a ${wireformat}`)
  return parsed
}

// Label(name, fields…).
export function label(name, ...fields) {
  const text = Buffer.from(`aside/1 ${name}`)
  const withLength = (field) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(field.length)
    return [length, field]
  }
  return new Uint8Array(Buffer.concat([Buffer.from([text.length]), text, ...fields.flatMap(withLength)]))
}

export function sha256(data) {
  return new Uint8Array(createHash("sha256").update(data).digest())
}

// MLS-014.
export function headerHash(header) {
  return sha256(label("mls-header", header))
}

export async function exported(group, name, context, suite) {
  const { exporterSecret } = group.keySchedule
  return hex(await mlsExporter(exporterSecret, name, new TextEncoder().encode(context), 32, suite))
}

// MLS-032.
export function forkCheck(group, suite) {
  return exported(group, "aside/1 fork-check", "", suite)
}

// MLS-020, MLS-021.
function bucket(length) {
  return [128, 256, 512, 1024, 2048, 4096].find((size) => size >= length) ?? Math.ceil(length / 4096) * 4096
}

export function pad(content) {
  const padded = new Uint8Array(bucket(content.length + 1))
  padded.set(content)
  padded[content.length] = 0x80
  return padded
}

// MLS-022.
export function unpad(padded) {
  const end = padded.findLastIndex((byte) => byte !== 0)
  if (padded[end] !== 0x80 || padded.length !== bucket(end + 1)) throw new Error("bad padding")
  return padded.subarray(0, end)
}

export function same(a, b) {
  return Buffer.compare(a, b) === 0
}

export function hex(data) {
  return Buffer.from(data).toString("hex")
}

export function bytes(text) {
  return new Uint8Array(Buffer.from(text, "hex"))
}
