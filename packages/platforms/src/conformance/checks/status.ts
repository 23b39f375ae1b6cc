import { AgentError, identityKey } from '@certfleet/agent-core'
import { type Check, type SystemUnderTest, same } from '../check.ts'
import type { CheckContext } from '../context.ts'
import type { ConformanceDevice } from '../device.ts'
import { assigned, dayMs, enrolled, statusOf } from '../documents.ts'
import { pfxStatusRows } from './status-pfx.ts'
import { down, type Shown, type StatusRow, statusRows } from './status-rows.ts'

const usual = ['ios', 'macos', 'android', 'windows'] as const

const status = ({ id, shown, on = systemsOf(shown), facts, given, source, needs, profileId, to }: StatusRow): Check => ({
  id: `status.${id}`,
  on,
  given,
  expect: Object.entries(shown)
    .map(
      ([system, words]) =>
        `${system === 'apple' ? 'iOS and macOS show' : system === 'windows' ? 'Windows shows' : 'Android shows'} ${words}`,
    )
    .join('; '),
  source,
  facts,
  ...(needs && { needs }),
  async run(context) {
    const device = await to(context)
    same(inWords(statusOf(await device.checkIn(), profileId).os), shown[familyOf(context)], 'what the device shows')
  },
})

function systemsOf({ windows, apple, android }: Shown): readonly SystemUnderTest[] {
  return usual.filter((system) => (system === 'windows' ? windows : system === 'android' ? android : apple) !== undefined)
}

function familyOf({ os: { platform } }: CheckContext): keyof Shown {
  return platform === 'ios' || platform === 'macos' ? 'apple' : platform
}

interface Words {
  readonly Status?: number | string
  readonly hresult?: string
  readonly ErrorChain?: readonly { readonly ErrorDomain: string; readonly ErrorCode: number }[]
  readonly state?: string
}

function inWords({ Status, hresult, ErrorChain, state }: Words = {}): string {
  const inner = ErrorChain?.at(-1)
  if (inner) return `${inner.ErrorDomain} ${inner.ErrorCode}`
  return [state ?? (Status === undefined ? 'nothing' : `Status ${Status}`), ...(hresult === undefined ? [] : [hresult])].join(' ')
}

const thumbprint = (id: string, what: string, after: (device: ConformanceDevice) => Promise<void>): Check => ({
  id: `status.thumbprint.${id}`,
  on: ['windows'],
  given: `a certificate ${what}, while the server is down`,
  expect: 'CertThumbprint, which was its SHA-1, is empty',
  source: 'W-DDF CertThumbprint',
  facts: ['windows.status.thumbprint'],
  needs: ['advance'],
  async run(context) {
    let isDown = false
    const { device } = await enrolled(context, {
      setup: { templateDays: 100 },
      async between(request, send) {
        if (isDown) throw new AgentError('ERR_NETWORK', 'the server is down')
        return send(request)
      },
    })
    const print = async () => String(statusOf(await device.checkIn()).os?.CertThumbprint)
    same(/^[0-9A-F]{40}$/.test(await print()), true, 'CertThumbprint is a SHA-1')
    isDown = true
    await after(device)
    same(await print(), '', 'CertThumbprint')
  },
})

/** How a profile stands in the words of each OS. */
export const statusChecks: readonly Check[] = [
  ...[...statusRows, ...pfxStatusRows].map(status),
  thumbprint('expired', 'that expired', async ({ session }) => session.advance?.(101 * dayMs)),
  thumbprint('key-gone', 'whose key is gone', async ({ keys, identities }) => {
    const identity = (await identities.list()).find(({ principal, profileId }) => identityKey(principal, profileId) === 'device/wifi')
    await keys[0]?.destroy(identity?.keyLabel ?? '')
  }),
  {
    id: 'status.chain',
    on: ['ios', 'macos'],
    given: 'a SCEP server that is down',
    expect: 'the error of the payload comes in two of the installation and one of the profile, outermost first',
    source: 'SCEPY #1',
    facts: ['apple.error.chain'],
    async run(context) {
      const device = await assigned(context, down)
      const { ErrorChain = [] } = (statusOf(await device.checkIn()).os ?? {}) as Words
      same(
        ErrorChain.map(({ ErrorCode }) => ErrorCode),
        [4001, 4001, 1009, 22_005],
        'codes',
      )
    },
  },
]
