/** What the engine tells its supervisor, a line each. */
export type KeeperMessage = 'stopping' | 'running' | 'done';
