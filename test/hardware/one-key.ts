// Run by token.test.ts: nothing is awaited at the end, so that only the question under way keeps the process.
import { emptyKeys, rsa2048 } from './token.ts'

const [way = 'forgets'] = process.argv.slice(2)
const keys = await emptyKeys('one-key')
void keys.generate(rsa2048, 'k1').then(async () => {
  if (way === 'closes') await keys.close()
  console.log('made')
})
