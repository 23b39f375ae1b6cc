import { installationOf, settingFactOf, storeFor } from '@certfleet/platforms'
import { type ExplainedStep, goesOn, stops, told, type Walk } from './explain-walk.ts'

const storeNames = {
  'computer-root': "the computer's roots",
  'computer-intermediate': "the computer's intermediates",
  'user-intermediate': "the user's intermediates",
} as const

/** Where a Trusted profile's certificate goes, and what on the device waits for it. */
export function rootStore({ profile, device: { os, policy }, context }: Walk): readonly ExplainedStep[] {
  const delivered = policy.trustedRoots.find(({ id }) => id === profile.id)
  if (profile.kind !== 'trusted-root' || !delivered) return []
  const { certificate } = profile
  const store = storeFor({ certificate, destinationStore: delivered.destinationStore }, os)
  const dependents = [...policy.scepProfiles, ...(policy.pfxProfiles ?? [])].filter(({ rootProfileId }) => rootProfileId === profile.id)
  const names = dependents.map(({ id, displayName }) => `"${context.profiles.get(id)?.displayName ?? displayName}"`)
  return [
    goesOn('store', `its certificate goes to ${storeNames[store]}`, settingFactOf('destinationStore', os).id),
    told('needed by', names.length > 0 ? names.join(', ') : 'no certificate profile of this device'),
  ]
}

/** What is left to the user. */
export function installation({ profile, device: { os, subscriber } }: Walk): readonly ExplainedStep[] {
  const { root, identity, trust } = installationOf(os)
  const steps = profile.kind === 'trusted-root' ? [rootSteps[root], trustSteps[trust]] : [identitySteps[identity]]
  const asked = steps.filter((text) => text !== undefined)
  const { userConsent = 'granted' } = subscriber.device
  if (asked.length === 0 || userConsent === 'granted') return asked.length === 0 ? [] : [told('user', asked.join('; '))]
  const answer = userConsent === 'refused' ? 'says that its user refuses' : 'says that its user has not answered'
  return [stops('user', `${asked.join('; ')}. The tenant file ${answer}, and the agent reports ERR_USER_ACTION_REQUIRED`)]
}

const rootSteps = {
  silent: undefined,
  prompt: 'confirms that the root is installed',
  'by-hand': 'installs the root by hand, under the name of the profile',
}
const trustSteps = { 'at-once': undefined, 'by-user': 'has to trust the root before TLS does' }
const identitySteps = { silent: undefined, prompt: 'confirms that the certificate is installed, and then that its key may be used' }
