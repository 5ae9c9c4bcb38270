import { execFileSync } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Daemon } from '../support/daemon.ts';
import { CHANGES } from './changes.ts';
import { FEATURES } from './features.ts';
import { judge, put, type Verdict } from './judge.ts';
import { REPAIRS } from './repairs.ts';
import type { Task } from './task.ts';

export const TASKS: readonly Task[] = [...REPAIRS, ...FEATURES, ...CHANGES];

export interface Score {
  id: string;
  why: Verdict;
  outcome: string;
  stopReason: string | undefined;
  toolCalls: number;
  tokens: number;
  elapsedMs: number;
}

export const repositoryOf = (task: Task): string => {
  const workspace = realpathSync(mkdtempSync(join(tmpdir(), `opta-eval-${task.id}-`)));
  put(workspace, task.files);
  const git = (...args: string[]) => execFileSync('git', ['-C', workspace, ...args], { stdio: 'ignore' });
  git('init', '-q');
  git('add', '.');
  git('-c', 'user.name=eval', '-c', 'user.email=eval@localhost', 'commit', '-qm', 'As it was');
  return workspace;
};

interface End {
  event: string;
  payload: {
    turnId?: string;
    outcome?: string;
    stopReason?: string;
    message?: string;
    stats?: { toolCalls: number; tokens: number; elapsedMs: number };
  };
}

/** One task through a daemon, as `opta do --auto` does it: edits and confined commands run, everything else is refused. */
export const attempt = async (
  daemon: Daemon,
  task: Task,
  { model, timeoutMs, prompt = task.prompt }: { model?: string; timeoutMs: number; prompt?: string },
): Promise<Score> => {
  const workspace = repositoryOf(task);
  try {
    const made = await daemon.post('/v3/sessions', { metadata: { workspace }, ...(model ? { model } : {}) });
    const sessionId = String(made.json.sessionId);
    const body = { clientId: 'eval', writerId: 'eval', content: prompt, mode: 'do', overrides: { auto: true } };
    const { turnId } = (await daemon.post(`/v3/sessions/${sessionId}/turns`, body)).json as { turnId: string };
    const end = await endOf(daemon, sessionId, turnId, timeoutMs);
    const messages = (await daemon.get(`/v3/sessions/${sessionId}`)).json.messages as {
      role: string;
      content: string;
    }[];
    const said = messages.findLast((m) => m.role === 'assistant')?.content ?? '';
    const { stats, outcome = 'unknown', stopReason, message } = end?.payload ?? {};
    const found = end === null ? 'it did not end in its time' : await judge(task, workspace, said);
    const why = found !== null && outcome === 'error' ? `${found} (the turn: ${message})` : found;
    const { toolCalls = 0, tokens = 0, elapsedMs = timeoutMs } = stats ?? {};
    return { id: task.id, why, outcome, stopReason, toolCalls, tokens, elapsedMs };
  } finally {
    rmSync(workspace, { recursive: true, force: true });
  }
};

const POLL_MS = 100;

const endOf = async (daemon: Daemon, sessionId: string, turnId: string, timeoutMs: number): Promise<End | null> => {
  const until = Date.now() + timeoutMs;
  while (Date.now() < until) {
    const { activeTurnId, queuedTurns } = (await daemon.get(`/v3/sessions/${sessionId}`)).json;
    if (activeTurnId === undefined && !queuedTurns) {
      const log = (await daemon.log(sessionId)).map((text) => JSON.parse(text) as End);
      const end = log.find(({ event, payload }) => /^turn\.(?:done|error)$/.test(event) && payload.turnId === turnId);
      if (end) return end;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  await daemon.cancel(sessionId, { turnId });
  return null;
};
