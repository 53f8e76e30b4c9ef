// Reads the conversations of spec/vectors/private_conversation.json on ts-mls, as the device that each was recorded for:
//
//     node replay.mjs ../../spec/vectors/private_conversation.json
//
// It says a line of each vector, and ends with status 1 if one comes to something else than it states. Device logs are taken as
// they are: whether they hold is the matter of devices.json.

import { createHmac } from "node:crypto"
import { readFileSync } from "node:fs"
import { isDeepStrictEqual } from "node:util"
import { emptyPskIndex, getCiphersuiteFromName, getCiphersuiteImpl, joinGroup, processMessage } from "ts-mls"
import { makeKeyPackageRef } from "ts-mls/keyPackage.js"
import { unprotectPrivateMessage } from "ts-mls/messageProtection.js"
import { decryptGroupInfo, decryptGroupSecrets } from "ts-mls/welcome.js"
import { bytes, configOf, forkCheck, headerHash, hex, label, parse, same, sha256, unpad } from "./profile.mjs"

const SUITES = {
  2: "MLS_128_DHKEMP256_AES128GCM_SHA256_P256",
  7: "MLS_256_DHKEMP384_AES256GCM_SHA384_P384",
}
// EntryKind.
const [PRIVATE_MESSAGE, COMMIT] = [11, 13]

// Why an entry is refused, in a word of the vectors.
class Refused extends Error {}

function ensure(holds, reason) {
  if (!holds) throw new Refused(reason)
}

// What ts-mls refuses: it has no words for why that could be told apart.
const LIBRARY = "refused by the library"
const MAY_BE_LIBRARY = ["replayed", "tampered", "too-far-ahead"]

// The fields of a Protobuf message by number, each a list of numbers and byte strings.
function fields(data) {
  const found = {}
  let at = 0
  const varint = () => {
    let number = 0
    for (let factor = 1; ; factor *= 128) {
      number += (data[at] & 0x7f) * factor
      if (data[at++] < 0x80) return number
    }
  }
  while (at < data.length) {
    const tag = varint()
    let value = varint()
    if (tag % 8 === 2) {
      at += value
      value = data.subarray(at - value, at)
    }
    const number = Math.floor(tag / 8)
    found[number] = [...(found[number] ?? []), value]
  }
  return found
}

const nothing = new Uint8Array()
const leafOf = (user, device) => `${hex(user)} ${hex(device)}`
const leavesOf = (list = []) => list.map(fields).map(({ 1: [user], 2: [device] }) => leafOf(user, device))
const sameSet = (one, other) => isDeepStrictEqual([...one].sort(), [...other].sort())

class DeviceLog {
  // The hash of each entry, and the certificates in all of them.
  hashes = []
  certificates = []

  constructor(entries) {
    for (const entry of entries) {
      const statement = fields(bytes(entry))[1][0]
      const { 10: genesis, 11: add, 13: override, 14: renew } = fields(statement)
      this.hashes.push(sha256(label("device-log", statement)))
      if (genesis) this.certificates.push(fields(genesis[0])[2][0])
      for (const change of [add, override, renew]) if (change) this.certificates.push(...fields(change[0])[1])
    }
  }
}

class Reader {
  #suiteNumber
  #suite
  #config
  #conversation
  #own
  #keyPackage
  #privateKeys
  #logs
  #chains
  #group
  #isOut = false
  #credentialRefused = false

  static async of(vector) {
    const reader = new Reader()
    reader.#suiteNumber = vector.suite
    reader.#suite = await getCiphersuiteImpl(getCiphersuiteFromName(SUITES[vector.suite]))
    reader.#config = configOf(async (credential, key) => reader.#isOfADevice(credential.identity, key))
    reader.#conversation = bytes(vector.conversation_id)
    reader.#logs = Object.fromEntries(vector.users.map((user) => [user.user_id, new DeviceLog(user.device_log)]))
    const own = vector.reader
    reader.#own = `${own.user_id} ${own.device_id}`
    reader.#keyPackage = parse(bytes(own.key_package), "mls_key_package").keyPackage
    reader.#privateKeys = {
      initPrivateKey: bytes(own.init_private_key),
      hpkePrivateKey: bytes(own.encryption_private_key),
      signaturePrivateKey: bytes(own.signature_private_key),
    }
    reader.#chains = [sha256(label("chain-start", reader.#conversation))]
    return reader
  }

  // MLS-003, MLS-025: the certificate is one of its user's device log, and names the key.
  #isOfADevice(certificate, key) {
    const { 1: [user], 4: mlsKeys } = fields(fields(certificate)[1][0])
    const names = mlsKeys.map(fields).some(({ 1: [suite], 2: [named] }) => suite === this.#suiteNumber && same(named, key))
    const given = this.#logs[hex(user)]?.certificates.some((held) => same(held, certificate))
    this.#credentialRefused ||= !names || !given
    return names && Boolean(given)
  }

  // LOG-010, LOG-011: the chain value after an entry.
  append(entry) {
    const hash = sha256(label("payload", bytes(entry.salt), bytes(entry.payload)))
    this.#chains.push(sha256(label("chain", this.#chains.at(-1), bytes(entry.header), hash)))
    return hex(this.#chains.at(-1))
  }

  // What comes of an entry; Refused if nothing does.
  async take(entry) {
    const header = fields(bytes(entry.header))
    const { 1: [conversation], 2: [seq], 3: [kind], 4: [user] = [nothing], 5: [device] = [nothing], 6: [messageId] = [nothing] } = header
    ensure(same(conversation, this.#conversation) && seq === this.#chains.length, "place")
    if (![COMMIT, PRIVATE_MESSAGE].includes(kind)) return { is: "before" }
    const { 1: [clearBytes], 2: [message] } = fields(bytes(entry.payload))
    const clear = fields(clearBytes)
    ensure(same(clear[1][0], conversation) && same(clear[2][0], messageId), "place")
    const sender = leafOf(user, device)
    const take = kind === COMMIT ? this.#commit : this.#message
    this.#credentialRefused = false
    try {
      return await take.call(this, { seq, sender, clear, bound: headerHash(clearBytes), message, entry })
    } catch (error) {
      if (error instanceof Refused) throw error
      throw new Refused(this.#credentialRefused ? "credential-refused" : LIBRARY, { cause: error })
    }
  }

  async #commit({ seq, sender, clear, bound, message, entry }) {
    const { 3: [generation], 4: [epoch] = [0], 5: added, 6: removed, 7: [isExternal] = [0] } = clear
    const { 8: [headSeq] = [0], 9: [chain] = [nothing] } = clear
    const claim = { added: leavesOf(added), removed: leavesOf(removed) }
    if (!this.#group && !entry.welcome) return { is: "before" }
    if (!this.#group) return this.#join(bytes(entry.welcome), generation, epoch, sender, claim)
    const parsed = this.#parse(message, isExternal ? "mls_public_message" : "mls_private_message")
    this.#checkBound(isExternal ? parsed.publicMessage.content : parsed.privateMessage, bound, epoch)
    let incoming
    const see = (it) => {
      incoming = it
      return "accept"
    }
    const { newState } = await processMessage(parsed, this.#group, emptyPskIndex, see, this.#suite)
    const before = this.#leaves(this.#group)
    const after = this.#leaves(newState)
    const done = { added: [], removed: [] }
    for (const { proposal } of incoming.proposals) {
      if (proposal.proposalType === "add") done.added.push(certified(proposal.add.keyPackage.leafNode.credential.identity))
      if (proposal.proposalType === "remove") done.removed.push(before.get(proposal.remove.removed))
    }
    let committer = before.get(incoming.senderLeafIndex)
    if (isExternal) {
      committer = [...after].find(([place, leaf]) => before.get(place) !== leaf || done.removed.includes(leaf))[1]
      done.added.push(committer)
    }
    ensure(committer === sender, "sender-mismatch")
    this.#checkCommit(incoming, newState, committer)
    ensure(sameSet(done.added, claim.added) && sameSet(done.removed, claim.removed), "claim-mismatch")
    this.#checkHistory(seq, headSeq, chain)
    if (newState.groupActiveState.kind !== "active") {
      this.#isOut = true
      return { is: "removed" }
    }
    this.#enter(newState)
    return this.#state("followed")
  }

  // What RFC 9420 permits, and the profile does not.
  #checkCommit({ senderLeafIndex, proposals }, newState, committer) {
    const allowed = ["add", "remove", "external_init"]
    ensure(proposals.every(({ proposal }) => allowed.includes(proposal.proposalType)), "forbidden-proposal") // MLS-008
    const users = [...this.#leaves(this.#group).values()].map((leaf) => leaf.split(" ")[0])
    ensure(users.includes(committer.split(" ")[0]), "external-commit-refused") // MLS-012
    if (newState.groupActiveState.kind !== "active") return
    const [before, after] = [this.#group, newState].map(({ ratchetTree }) => ratchetTree[2 * senderLeafIndex]?.leaf)
    if (senderLeafIndex !== undefined) {
      ensure(!same(before.hpkePublicKey, after.hpkePublicKey), "no-path") // MLS-007
      ensure(certified(after.credential.identity) === committer, "credential-refused") // MLS-011
    }
    const hasExtensions = (node) => node?.nodeType === "leaf" && node.leaf.extensions.length > 0
    ensure(!newState.ratchetTree.some(hasExtensions), "invalid") // MLS-047
  }

  async #join(message, generation, epoch, sender, claim) {
    const { welcome } = this.#parse(message, "mls_welcome")
    const keys = structuredClone(this.#privateKeys)
    const ref = await makeKeyPackageRef(this.#keyPackage, this.#suite.hash)
    const initKey = await this.#suite.hpke.importPrivateKey(keys.initPrivateKey)
    const { joinerSecret } = await decryptGroupSecrets(initKey, ref, welcome, this.#suite.hpke)
    const info = await decryptGroupInfo(welcome, joinerSecret, new Uint8Array(this.#suite.kdf.size), this.#suite)
    ensure(same(info.groupContext.groupId, this.#groupId(generation)), "wrong-group")
    ensure(info.groupContext.extensions.length === 0, "wrong-profile") // MLS-006
    ensure(Number(info.groupContext.epoch) === epoch + 1, "stale-epoch")
    ensure(claim.added.includes(this.#own), "claim-mismatch")
    const group = await joinGroup(welcome, this.#keyPackage, keys, emptyPskIndex, this.#suite, undefined, undefined, this.#config)
    ensure(this.#leaves(group).get(info.signer) === sender, "sender-mismatch")
    this.#enter(group)
    return this.#state("joined")
  }

  async #message({ seq, sender, clear, bound, message }) {
    if (!this.#group || this.#isOut) return { is: this.#isOut ? "out" : "before" }
    const { 4: [epoch] = [0], 5: [tag], 6: [headSeq] = [0], 7: [chain] = [nothing] } = clear
    const { privateMessage } = this.#parse(message, "mls_private_message")
    this.#checkBound(privateMessage, bound, epoch)
    const { keySchedule, secretTree, ratchetTree, groupContext } = this.#group
    // The library's public function for this does not say whose message it is (MLS-028).
    const read = await unprotectPrivateMessage(
      keySchedule.senderDataSecret,
      privateMessage,
      secretTree,
      ratchetTree,
      groupContext,
      this.#config.keyRetentionConfig,
      this.#suite,
    )
    const { contentType, sender: from, applicationData } = read.content.content
    ensure(contentType === "application", "wrong-kind")
    const leaf = from.leafIndex
    ensure(this.#leaves(this.#group).get(leaf) === sender, "sender-mismatch")
    const { 1: [content] = [nothing], 2: [key], 3: [position] = [0], 4: [hash] } = fields(this.#unpad(applicationData))
    const computed = createHmac("sha256", key).update(label("franking", content)).digest()
    const [user_id, device_id] = sender.split(" ")
    this.#enter({ ...this.#group, secretTree: read.tree })
    ensure(same(computed, tag), "tag")
    ensure(same(this.#logs[user_id].hashes[position], hash), "diverged")
    this.#checkHistory(seq, headSeq, chain)
    return {
      is: "read",
      leaf,
      user_id,
      device_id,
      application_data: hex(applicationData),
      content: hex(content),
      franking_key: hex(key),
      log_position: position,
      log_hash: hex(hash),
    }
  }

  // MLS-014, MLS-018: made for this header, at the epoch that the log is at.
  #checkBound({ authenticatedData, groupId, epoch }, bound, claimed) {
    ensure(same(authenticatedData, bound), "header-mismatch")
    ensure(same(groupId, this.#group.groupContext.groupId), "wrong-group")
    ensure(this.#group.groupContext.epoch === BigInt(claimed), "place")
    ensure(epoch >= this.#group.groupContext.epoch, "stale-epoch")
  }

  // MLS-005.
  #parse(message, wireformat) {
    try {
      return parse(message, wireformat)
    } catch {
      throw new Refused("wrong-kind")
    }
  }

  #unpad(applicationData) {
    try {
      return unpad(applicationData)
    } catch {
      throw new Refused("bad-padding")
    }
  }

  // HEAD-011.
  #checkHistory(seq, headSeq, chain) {
    ensure(headSeq < seq && same(this.#chains[headSeq], chain), "history")
  }

  // MLS-002.
  #groupId(generation) {
    const number = Buffer.alloc(4)
    number.writeUInt32BE(generation)
    return Buffer.concat([this.#conversation, number])
  }

  // MLS-018: no past epoch is kept.
  #enter(state) {
    this.#group = { ...state, historicalReceiverData: new Map() }
  }

  // Whose leaves there are, by their places.
  #leaves({ ratchetTree }) {
    const leaves = ratchetTree.filter((_, place) => place % 2 === 0)
    return new Map(leaves.flatMap((node, place) => (node ? [[place, certified(node.leaf.credential.identity)]] : [])))
  }

  async #state(is) {
    const { groupContext, keySchedule } = this.#group
    const leaves = [...this.#leaves(this.#group)].map(([leaf, owner]) => {
      const [user_id, device_id] = owner.split(" ")
      return { leaf, user_id, device_id }
    })
    return {
      is,
      generation: Buffer.from(groupContext.groupId).readUInt32BE(16),
      epoch: Number(groupContext.epoch),
      leaves,
      epoch_authenticator: hex(keySchedule.epochAuthenticator),
      fork_check: await forkCheck(this.#group, this.#suite),
    }
  }
}

// Whose a certificate is.
function certified(certificate) {
  const { 1: [user], 2: [device] } = fields(fields(certificate)[1][0])
  return leafOf(user, device)
}

// Takes in all entries as they should be taken in, and tries `vector`'s before that in whose place it stands: why is it refused?
async function replay(conversation, vector) {
  const reader = await Reader.of(conversation)
  let refused
  for (const [index, entry] of conversation.entries.entries()) {
    if (vector.in_place_of === index + 1) {
      refused = await reader.take(vector.entry).then(() => undefined, reasonOf)
    }
    const then = await reader.take(entry)
    if (!isDeepStrictEqual(then, entry.then)) throw new Error(`seq ${index + 1} comes to ${JSON.stringify(then)}`)
    if (reader.append(entry) !== entry.chain) throw new Error(`seq ${index + 1}: another chain value`)
  }
  return refused
}

function reasonOf(error) {
  if (error instanceof Refused) return error.message
  throw error
}

const { vectors } = JSON.parse(readFileSync(process.argv[2]))
let failed = 0
for (const vector of vectors) {
  const conversation = vectors.find(({ id }) => id === (vector.of ?? vector.id))
  const found = await replay(conversation, vector).catch((error) => String(error.stack))
  const holds = found === vector.error || (found === LIBRARY && MAY_BE_LIBRARY.includes(vector.error))
  console.log(`${vector.id}: ${holds ? "as stated" : `${found}, not ${vector.error ?? "valid"}`}`)
  failed += holds ? 0 : 1
}
process.exitCode = vectors.length === 0 || failed > 0 ? 1 : 0
