export { mscepAdminChallenges, writtenChallenges } from './foreign-challenges.ts'
export { sharedKeys, sharedKeysMarking } from './keys.ts'
export { labTarget } from './lab-target.ts'
