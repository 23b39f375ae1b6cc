import { overriddenLines } from './overridden.ts'
import type { InapplicableToDevice, RunResults } from './results.ts'

/** What is to be said of a fleet beside its figures, a line each: facts that were not taken, keys, profiles that are not for an OS. */
export function remarkLines(results: RunResults): string[] {
  return [...overriddenLines(results), ...keyLines(results), ...inapplicableLines(results), ...pendingLines(results)]
}

/** Nothing of either is no line. */
function keyLines({ keys, keyStorageReasons, ignoredSettings }: RunResults): string[] {
  const held = countsText(keys)
  const ignored = countsText(ignoredSettings)
  return [
    ...(held ? [`keys: ${held}; why: ${countsText(keyStorageReasons)}`] : []),
    ...(ignored ? [`settings without effect on the OS: ${ignored}`] : []),
  ]
}

const countsText = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ')

/** One line a fact. */
function inapplicableLines({ notApplicable }: RunResults): string[] {
  const why = ({ factId, reason }: InapplicableToDevice) => factId ?? reason
  return [...new Set(notApplicable.map(why))].map((fact) => {
    const profiles = notApplicable.filter((profile) => why(profile) === fact)
    const [first] = profiles as [InapplicableToDevice]
    return `${profiles.length} not applicable (${fact}): ${first.reason} First: ${first.device}, "${first.profile}"`
  })
}

function pendingLines({ outcomes }: RunResults): string[] {
  return outcomes.pending > 0 ? [`${outcomes.pending} still pending: the CA has not decided`] : []
}
