import { describe, expect, test } from 'vitest';
import {
  type HostPolicy,
  hostPolicyOf,
  mayAdminister,
  mayHostInference,
  refuseModelFiles,
  requireLocalInference,
  requireRemoteAdmin,
} from '../../src/config/host-policy.ts';
import { ConfigSchema } from '../../src/config/schema.ts';
import { errorRow, OptaError } from '../../src/protocol/errors.ts';

const policy = (name: string, hostPolicy: object = {}, env = {}): HostPolicy =>
  hostPolicyOf(ConfigSchema.parse({ hostPolicy }), env, name);

const refusal = (run: () => void): OptaError => {
  try {
    run();
  } catch (cause) {
    if (cause instanceof OptaError) return cause;
    throw cause;
  }
  throw new Error('was not refused');
};

describe('[HP1] the role of a host', () => {
  test.each([
    ['Opta48', 'client'],
    ['opta48', 'client'],
    ['OPTA48.local', 'client'],
    ['Opta48.fritz.box', 'client'],
    ['Opta480', 'any'],
    ['Mono512', 'inference'],
    ['mono512.lan', 'inference'],
    ['somebody', 'any'],
    ['', 'any'],
  ])('%s is %s', (name, role) => {
    expect(policy(name).role).toBe(role);
  });

  test('[HP1] OPTA_HOST_NAME stands for the name, the table of the configuration comes before ours, a role before both', () => {
    expect(policy('Mono512', {}, { OPTA_HOST_NAME: 'Opta48' }).role).toBe('client');
    expect(policy('Opta48', { hosts: { 'OPTA48.local': { role: 'any' } } }).role).toBe('any');
    const named = policy('Desk', { hosts: { desk: { role: 'client' } } });
    expect(named).toMatchObject({ host: 'Desk', role: 'client', why: 'hostPolicy.hosts.desk' });
    expect(policy('Opta48', { role: 'inference', hosts: { Opta48: { role: 'client' } } })).toMatchObject({
      role: 'inference',
      why: 'hostPolicy.role',
    });
  });
});

describe('[HP1] what a client-only host may not do', () => {
  test('[HP1] host inference: the refusal names the policy, this host and the hosts that may', () => {
    const here = policy('Opta48.local', { hosts: { Rack1: { role: 'inference' } } });
    expect(mayHostInference(here)).toBe(false);
    const error = refusal(() => requireLocalInference(here, 'Serving inference'));
    expect(error.code).toBe('host-policy');
    expect(errorRow(error.code).exit).toBe(77);
    expect(error.message).toMatch(/host policy.*Opta48 is client-only.*Mono512, Rack1/);
    expect(error.facts).toMatchObject({ host: 'Opta48', role: 'client', allowedHosts: ['Mono512', 'Rack1'] });
    for (const name of ['Mono512', 'somebody']) requireLocalInference(policy(name), 'Serving inference');
  });

  test('[HP1] change the models of an inference host, unless remoteAdmin says so', () => {
    expect(refusal(() => requireRemoteAdmin(policy('Opta48'), 'Loading a model')).message).toContain('remoteAdmin');
    expect(mayAdminister(policy('Opta48', { remoteAdmin: true }))).toBe(true);
    expect(mayAdminister(policy('somebody'))).toBe(true);
    expect(mayAdminister(policy('somebody', { remoteAdmin: false }))).toBe(false);
    requireRemoteAdmin(policy('Mono512'), 'Loading a model');
  });

  test('[HP1] name a model file, under whatever key', () => {
    const config = { engine: 'lmx', deep: [{ modelPath: '/m/tiny.GGUF' }] };
    expect(refusal(() => refuseModelFiles(policy('Opta48'), config)).message).toContain('deep.0.modelPath');
    refuseModelFiles(policy('Opta48'), { model: { default: 'qwen3-32b' } });
    refuseModelFiles(policy('Mono512'), config);
  });
});
