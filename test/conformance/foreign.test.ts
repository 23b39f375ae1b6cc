import type { HttpRequest } from '@certfleet/agent-core'
import type { PlatformName } from '@certfleet/platforms'
import { runServerChecks, serverConformanceChecks } from '@certfleet/platforms/conformance'
import t from 'tap'
import { sharedKeys } from '#emulator/conformance/index.ts'
import { algorithmsIn } from '#platforms/conformance/wire.ts'
import type { Setting } from './foreign-mutant.ts'
import { answerMutants } from './foreign-mutants-answers.ts'
import { refusalMutants } from './foreign-mutants-refusals.ts'
import { type Break, challenge, foreignServer, messageOf, readable } from './foreign-server.ts'

const { makeKeys } = sharedKeys('foreign')
const mutants = [...answerMutants, ...refusalMutants]

async function judged({ breaks, lab, target, rollOver }: Setting, platform: PlatformName) {
  const server = await foreignServer(breaks, lab)
  if (rollOver) await server.world.lab.prepareRollOver(server.world.clock.now() + 30 * 86_400_000)
  const results = await runServerChecks(serverConformanceChecks, {
    target: { ...server.target, makeKeys, ...target },
    platforms: [platform],
  })
  const failed = results.filter(({ status }) => status === 'failed')
  return { results, failed, ids: failed.map(({ id }) => id.replace('server.', '')) }
}

for (const { name, on: platform = 'ios', fails, passes, skips, reason, ...setting } of mutants)
  t.test(name, async (t) => {
    const { results, failed, ids } = await judged(setting, platform)
    const statusOf = (id: string) => results.find((result) => result.id === `server.${id}`)
    t.same(ids, fails)
    if (passes) t.match(statusOf(passes), { status: 'passed' })
    if (skips) t.match(statusOf(skips), { status: 'skipped' })
    if (reason) t.match((failed[0] ?? statusOf(skips ?? ''))?.reason, reason)
    for (const one of results) t.notMatch(one.reason, challenge)
  })

t.test('nothing but noise is sent to a CA that is not trusted', async (t) => {
  const sent: HttpRequest[] = []
  const breaks: Break = (request, next) => {
    sent.push(request)
    return next(request)
  }
  const { results } = await judged({ breaks, target: { trust: { fingerprint: 'a'.repeat(64) } } }, 'windows')
  t.match(
    results.find(({ id }) => id === 'server.enrol'),
    { status: 'skipped', reason: /it needs what failed before: .*fingerprint/ },
  )
  t.same(
    sent.filter((request) => readable(request) !== undefined || algorithmsIn(messageOf(request)).length > 0),
    [],
  )
})

t.test('every check is seen to fail', async (t) => {
  const breaking = ({ id, on }: (typeof serverConformanceChecks)[number]) =>
    mutants.find((mutant) => mutant.fails.includes(id.replace('server.', '')) && on.includes(mutant.on ?? 'ios'))
  t.same(
    serverConformanceChecks.filter((check) => !breaking(check)).map(({ id, on }) => `${id} on ${on}`),
    [],
  )
})
