import { arch, cpus, hostname, totalmem } from 'node:os';
import type { Gateway } from '../gateway.ts';
import { LMX_LIMITS } from '../limits.ts';
import type { LmxKeys } from './keys.ts';

export interface Place {
  host: string;
  port: number;
}

export const SOCKET_PATH = '/v1/chat/stream';

/** What this server can do beyond the first of its kind; a client that finds a name here may count on it. */
export const CAPABILITIES = [
  'ws_auth',
  'accepted',
  'keepalive',
  'reasoning',
  'incremental_tools',
  'multiplex',
  'cancel_by_client_id',
  'error_codes',
] as const;

const GIB = 1024 ** 3;

/** `/.well-known/opta-lmx` and `/v1/discovery`: who this is and how it is spoken to. Open to everybody; holds no secret. */
export const discovery = (gateway: Gateway, { host, port }: Place, keys: LmxKeys, version: string) => {
  const ready = gateway.models().filter((m) => m.readiness === 'routable');
  const base = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const { inference, admin } = keys.required;
  return {
    schema_version: '2026-03-02',
    instance_id: `${host}:${port}`,
    service: 'opta-lmx',
    version,
    security_profile: 'lan',
    ready: ready.length > 0,
    loaded_models: ready.map((m) => m.id),
    loaded_model_count: ready.length,
    in_flight_requests: gateway.status().inFlight,
    engine: gateway.engine,
    auth: { admin_key_required: admin, inference_key_required: inference, supabase_jwt_enabled: false },
    // Events have no numbers, so none is sent a second time.
    continuity: { event_resume_supported: false },
    capabilities: [...CAPABILITIES],
    limits: {
      max_frame_bytes: LMX_LIMITS.frameBytesMax,
      max_requests_per_socket: LMX_LIMITS.requestsPerSocketMax,
      keepalive_ms: LMX_LIMITS.keepaliveMs,
    },
    endpoints: {
      preferred_base_url: base,
      base_urls: [base],
      openai_base_url: `${base}/v1`,
      admin_base_url: `${base}/admin`,
      websocket_url: `${base.replace('http', 'ws')}${SOCKET_PATH}`,
      websocket_path: SOCKET_PATH,
    },
    client_probe_order: ['/.well-known/opta-lmx', '/v1/discovery', '/healthz', '/v1/models'],
    hardware_summary: { chip: cpus()[0]?.model ?? arch(), memory_gb: round(totalmem() / GIB), metal: false },
    hostname: hostname(),
  };
};

export const round = (n: number): number => Math.round(n * 100) / 100;
