import { removeDir, tempDir } from '../support/cli.ts';
import { type FakeLmx, startFakeLmx } from '../support/fake-lmx.ts';
import { type FakeAdmin, fakeAdmin } from '../support/fake-lmx-admin.ts';
import { type RealDaemon, startDaemon } from './daemon.ts';
import type { Accepted, Script, Step } from './recording.ts';

export interface World {
  lmx: FakeLmx;
  admin: FakeAdmin;
  daemon: RealDaemon;
  workspace: string;
}

export interface Scenario {
  accepted?: Accepted[];
  /** With a daemon and an inference server of its own. */
  alone?: true;
  script?: (world: World) => Script;
  /** The recording as it is played. */
  steps?: (steps: Step[]) => Step[];
}

export const aWorld = async (): Promise<World> => {
  const admin = fakeAdmin();
  const lmx = await startFakeLmx(admin.options);
  const daemon = await startDaemon(lmx.port, { OPTA_MODEL: 'fake-model' });
  return { lmx, admin, daemon, workspace: tempDir() };
};
export const leave = async ({ lmx, daemon, workspace }: World): Promise<void> => {
  await daemon.stop();
  await lmx.close();
  removeDir(workspace);
};
