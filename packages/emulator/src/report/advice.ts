import { type AgentErrorCode, adviceByCode, type FixedBy, type Retry } from '@certfleet/agent-core'

const whoByFixedBy: Readonly<Record<FixedBy, string>> = {
  admin: 'to be put right by the administrator: the profile, its assignment, or the server it names',
  ca: "to be put right on the CA's side: its certificates, its algorithms, or its answer",
  network: 'to be put right between device and server: reachability, proxy, load, or the server itself',
  device: 'to be put right on the device: its clock, its keys, or its stores',
  user: 'to be put right by the user: unlock the device, set up a PIN, or confirm what it asks for',
  embedder: 'to be put right by the program that embeds the agent: its state store, or the secret that opens its keys',
}

const whenByRetry: Readonly<Record<Retry, string>> = {
  now: 'tried again at the next pass',
  backoff: 'tried again by itself after a delay',
  'on-new-policy': 'tried again when the policy changes',
  'on-user': 'tried again at each pass, once the user has done it',
  'on-unlock': 'tried again when the device is unlocked',
  never: 'not tried again for this profile on this device',
}

/** Who can put a failure right, in words. */
export function whoCanFix(code: AgentErrorCode): string {
  return whoByFixedBy[adviceByCode[code].fixedBy]
}

/** Who can put a failure right and when the agent tries again, in words. */
export function adviceText(code: AgentErrorCode): string {
  return `${whoCanFix(code)}; ${whenByRetry[adviceByCode[code].retry]}`
}
