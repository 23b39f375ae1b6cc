import {
  type AssignedProfile,
  type AssignmentTarget,
  assignProfiles,
  type ExportFile,
  type Group,
  type Import,
  type Intent,
  type IntentProfile,
  importGraph,
  type Platform,
  type Tenant,
  type TrustedRootIntent,
  type User,
} from '../../tenant/index.ts'
import type { LabStore } from '../store.ts'
import { changesOf } from './changes.ts'
import { graphRootOf } from './graph-profile.ts'
import type { AdminAssignment, AdminProfile, AdminUser } from './records.ts'

/** What the lab was started with. The API adds to it and changes none of it. */
export interface AdminFiles {
  readonly imported: Import
  readonly tenant: Tenant
}

export interface ListedProfile {
  readonly intent: IntentProfile
  /** Missing where it comes from a file. */
  readonly record?: AdminProfile
  readonly assignments: readonly AdminAssignment[]
}

/** Who gets what. */
export interface Rollout {
  readonly intent: Intent
  readonly tenant: Tenant
}

/** Files and API together, at one moment. Maps are keyed by id. */
export interface AdminView {
  readonly profiles: ReadonlyMap<string, ListedProfile>
  readonly users: ReadonlyMap<string, User>
  readonly groups: ReadonlyMap<string, Group>
  /** Ids of what comes from files. */
  readonly fromFiles: {
    readonly users: ReadonlySet<string>
    readonly groups: ReadonlySet<string>
    readonly groupNames: ReadonlySet<string>
  }
  readonly rollout: Rollout
  /** The same, in which no assignment reaches a device as a member of a group; a group's exclusion does still (S14). */
  readonly withoutDeviceGroups: Rollout
}

const noFiles: AdminFiles = {
  imported: { profiles: [], consumers: [], assignments: [], findings: [] },
  tenant: { file: 'admin', users: new Map(), devices: new Map(), groups: new Map(), assignments: [] },
}

/** The view of what the store holds now; made anew only when something changed. */
export function adminViews(store: LabStore, filesNow: () => AdminFiles | undefined): () => AdminView {
  let last: { version: number; files: AdminFiles; view: AdminView } | undefined
  return () => {
    const { version } = changesOf(store)
    const files = filesNow() ?? noFiles
    if (last?.version !== version || last.files !== files) last = { version, files, view: viewOf(store, files) }
    return last.view
  }
}

function viewOf(store: LabStore, { imported, tenant }: AdminFiles): AdminView {
  const records = [...store.list('adminProfiles')]
  const added = importOf(records, imported)
  const users = new Map([...[...store.list('adminUsers')].map((user) => [user.id, userOf(user)] as const), ...tenant.users])
  const groups = new Map([...[...store.list('adminGroups')].map(groupOf), ...tenant.groups])
  const everything: Tenant = { ...tenant, users, groups, assignments: [] }
  const ofFiles = assignProfiles(imported, tenant).intent
  // `assign: all` speaks of the files' profiles; those of the API go where they are assigned.
  const { assign: _, ...apart } = everything
  const rollout = { intent: together(ofFiles, assignProfiles(added, apart).intent), tenant: apart }
  return {
    profiles: new Map([...listedFiles(imported, ofFiles), ...listedRecords(records, added)]),
    users,
    groups,
    fromFiles: {
      users: new Set(tenant.users.keys()),
      groups: new Set(tenant.groups.keys()),
      groupNames: new Set([...tenant.groups.values()].map(({ name }) => name)),
    },
    rollout,
    withoutDeviceGroups: withoutDeviceGroups(rollout),
  }
}

/** Each in a file of its own; the files' Trusted profiles stand beside them for links to name. */
function importOf(records: readonly AdminProfile[], { profiles }: Import): Import {
  const own = new Set(records.map(({ id }) => id))
  const imported = importGraph([...records.map(exportOf), ...linkTargets(profiles, own)])
  const assignments = records.flatMap(({ id, assignments: all }) =>
    all.map((assignment) => ({ profileId: id, ...assignment, file: 'admin', path: '' })),
  )
  return { profiles: imported.profiles.filter(({ id }) => own.has(id)), consumers: [], assignments, findings: [] }
}

function exportOf({ id, document }: AdminProfile): ExportFile {
  return exportFile(`profile ${id}`, { ...JSON.parse(document), id })
}

/** The Trusted profiles among these, but for those named, as files that another profile's link can be judged by. */
export function linkTargets(profiles: Iterable<IntentProfile>, except: ReadonlySet<string>): ExportFile[] {
  return [...profiles]
    .filter((profile): profile is TrustedRootIntent => profile.kind === 'trusted-root' && !except.has(profile.id))
    .map((profile) => exportFile(`trusted profile ${profile.id}`, graphRootOf(profile)))
}

export function exportFile(name: string, document: unknown): ExportFile {
  return { name, bytes: Buffer.from(JSON.stringify(document)) }
}

function userOf({ id, userPrincipalName, mailNickname, mail, ...user }: AdminUser): User {
  const { department, onPremisesDistinguishedName, onPremisesSamAccountName, onPremisesUserPrincipalName } = user
  return {
    id,
    upn: userPrincipalName,
    userName: mailNickname ?? (userPrincipalName.split('@')[0] as string),
    ...(mail !== undefined && { email: mail }),
    ...(department !== undefined && { department }),
    ...(onPremisesDistinguishedName !== undefined && { onPremDistinguishedName: onPremisesDistinguishedName }),
    ...(onPremisesSamAccountName !== undefined && { onPremSamAccountName: onPremisesSamAccountName }),
    ...(onPremisesUserPrincipalName !== undefined && { onPremUserPrincipalName: onPremisesUserPrincipalName }),
    ...(user.onPremisesSecurityIdentifier !== undefined && { sid: user.onPremisesSecurityIdentifier }),
  }
}

/** By its id alone: the names of two groups may be the same. */
function groupOf(group: { id: string; users: readonly string[]; devices: readonly string[] }): readonly [string, Group] {
  const { id, users, devices } = group
  return [id, { id, name: id, users: new Set(users), devices: new Set(devices) }]
}

function together(files: Intent, added: Intent): Intent {
  const platforms = new Set<Platform>([...files.byPlatform.keys(), ...added.byPlatform.keys()])
  return {
    byPlatform: new Map(
      [...platforms].map((name) => [name, [...(files.byPlatform.get(name) ?? []), ...(added.byPlatform.get(name) ?? [])]]),
    ),
    groupIds: new Map([...added.groupIds, ...files.groupIds]),
    multiFactor: files.multiFactor,
  }
}

function listedFiles({ profiles }: Import, { byPlatform }: Intent): (readonly [string, ListedProfile])[] {
  const targets = new Map([...byPlatform.values()].flat().map(({ profile, targets: all }) => [profile.id, all]))
  return profiles.map((intent) => {
    const assignments = (targets.get(intent.id) ?? []).map((target) => ({ intent: 'apply' as const, target }))
    return [intent.id, { intent, assignments }]
  })
}

function listedRecords(records: readonly AdminProfile[], { profiles }: Import): (readonly [string, ListedProfile])[] {
  const intents = new Map(profiles.map((intent) => [intent.id, intent]))
  return records.flatMap((record) => {
    const intent = intents.get(record.id)
    return intent ? [[record.id, { intent, record, assignments: record.assignments }] as const] : []
  })
}

/** No id or name of a group begins so. */
const usersOf = '\0users of '

function withoutDeviceGroups({ intent, tenant }: Rollout): Rollout {
  const userGroups = [...tenant.groups.values()].map(
    (group) => [`${usersOf}${group.id}`, { ...group, devices: new Set<string>() }] as const,
  )
  const toUsers = (target: AssignmentTarget): AssignmentTarget =>
    target.kind === 'group' ? { ...target, group: `${usersOf}${target.group}` } : target
  const byUsers = ({ profile, targets }: AssignedProfile): AssignedProfile => ({ profile, targets: targets.map(toUsers) })
  const groupIds = [...intent.groupIds].map(([name, id]) => [`${usersOf}${name}`, `${usersOf}${id}`] as const)
  return {
    intent: {
      ...intent,
      byPlatform: new Map([...intent.byPlatform].map(([platform, profiles]) => [platform, profiles.map(byUsers)])),
      groupIds: new Map([...intent.groupIds, ...groupIds]),
    },
    tenant: { ...tenant, groups: new Map([...tenant.groups, ...userGroups]) },
  }
}
