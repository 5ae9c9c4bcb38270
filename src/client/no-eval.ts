import { config } from 'zod';

// The schemas are not compiled: a page whose policy forbids `eval` is to see no report of it. Schemas ask when they are made, so this
// module comes before all that makes one.
config({ jitless: true });
