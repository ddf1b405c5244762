/** The side panel's content: jobs, datasets and metrics as tabs, or a sentence, and below whose kernel it is. */
import { useRef, useState, type DragEvent, type KeyboardEvent, type ReactNode } from 'react';

import { NoticeBlock, type Notice } from './Actions';
import { DatasetList } from './DatasetList';
import { JobList } from './JobList';
import type { MetricsTraits } from './judgemetrics';
import { MetricsPlace, type MetricsState } from './MetricsPlace';
import type { DatasetsTraits, ListTraits, MLflowLink, Model } from './model';
import type { Shell } from './shell';
import { Waiting, type KernelState } from './Waiting';

/** What the panel shows. */
export interface PanelState extends KernelState {
  readonly mlflow: MLflowLink | null;
  readonly jobs: Model<ListTraits> | null;
  readonly datasets: Model<DatasetsTraits> | null;
  readonly metrics: Model<MetricsTraits> | null;
}

type Tab = 'jobs' | 'datasets' | 'metrics';

const TABS: readonly (readonly [Tab, string])[] = [
  ['jobs', 'Jobs'],
  ['datasets', 'Datasets'],
  ['metrics', 'Metrics']
];

/** The panel, a function of its state. */
export function PanelView({ state, shell }: { readonly state: PanelState; readonly shell: Shell }) {
  const [tab, setTab] = useState<Tab>('jobs');
  // Kept here, since the lists go away while the kernel restarts.
  const [job, setJob] = useState<string | null>(null);
  const [dataset, setDataset] = useState<string | null>(null);
  const [metrics, setMetrics] = useState<MetricsState>({ open: null, draft: null });
  const [notice, setNotice] = useState<Notice | null>(null);
  const openMLflow = async () => {
    setNotice(null);
    const refused = await shell.openMLflow(state.mlflow, 'MLflow');
    if (refused !== null) {
      setNotice(state.mlflow ? { text: refused, command: state.mlflow.command } : { text: refused });
    }
  };
  const upload = async (files: readonly File[]) => {
    const refused = await shell.uploadDataset(files);
    setNotice(refused === null ? null : { text: refused });
  };
  return (
    <div className="tunelab tunelab-side">
      <Tabs tab={tab} onTab={setTab} />
      <div
        className="tunelab-side-body"
        role="tabpanel"
        id="tunelab-side-body"
        aria-labelledby={`tunelab-tab-${tab}`}
        tabIndex={-1}
      >
        <Waiting state={state} />
        {tab === 'jobs' && state.jobs && !state.sentence && (
          <JobList model={state.jobs} shell={shell} open={job} onOpen={setJob} />
        )}
        {tab === 'datasets' && state.datasets && !state.sentence && (
          <Dropzone onFiles={files => void upload(files)}>
            {dataset === null && (
              <div className="tunelab-side-actions">
                <button
                  type="button"
                  className="tunelab-primary"
                  onClick={() => {
                    setNotice(null);
                    shell.createDataset();
                  }}
                >
                  Create dataset…
                </button>
                <span className="tunelab-subject">or drop a file here</span>
              </div>
            )}
            <DatasetList model={state.datasets} shell={shell} open={dataset} onOpen={setDataset} />
          </Dropzone>
        )}
        {tab === 'metrics' && state.metrics && !state.sentence && (
          <MetricsPlace model={state.metrics} state={metrics} onState={setMetrics} />
        )}
      </div>
      {notice && (
        <NoticeBlock
          notice={notice}
          onClose={() => {
            setNotice(null);
          }}
        />
      )}
      <footer className="tunelab-side-foot" data-tone={state.tone}>
        <span className="tunelab-dot" aria-hidden="true" />
        <span className="tunelab-side-kernel" title={state.kernel}>
          {state.kernel}
        </span>
        <button type="button" className="tunelab-plain" onClick={() => void openMLflow()}>
          Open MLflow
        </button>
      </footer>
    </div>
  );
}

/** The tabs: one is in the order of Tab, the arrows go from one to the next, and from the last to the first. */
function Tabs({ tab, onTab }: { readonly tab: Tab; readonly onTab: (tab: Tab) => void }) {
  const list = useRef<HTMLDivElement>(null);
  const move = (event: KeyboardEvent) => {
    if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') {
      const names = TABS.map(([name]) => name);
      const other = names.at((names.indexOf(tab) + (event.key === 'ArrowLeft' ? -1 : 1)) % names.length) ?? tab;
      onTab(other);
      list.current?.querySelector<HTMLElement>(`#tunelab-tab-${other}`)?.focus();
    }
  };
  return (
    <div className="tunelab-side-tabs" role="tablist" aria-label="What the panel shows" ref={list} onKeyDown={move}>
      {TABS.map(([name, label]) => (
        <button
          key={name}
          type="button"
          role="tab"
          id={`tunelab-tab-${name}`}
          aria-selected={tab === name}
          aria-controls="tunelab-side-body"
          tabIndex={tab === name ? 0 : -1}
          onClick={() => {
            onTab(name);
          }}
        >
          {label}
        </button>
      ))}
    </div>
  );
}

/** Takes files of the user's computer that are dropped on it. */
function Dropzone({
  onFiles,
  children
}: {
  readonly onFiles: (files: readonly File[]) => void;
  readonly children: ReactNode;
}) {
  const [over, setOver] = useState(false);
  const hover = (event: DragEvent) => {
    if (event.dataTransfer.types.includes('Files')) {
      event.preventDefault();
      setOver(true);
    }
  };
  const leave = (event: DragEvent) => {
    // Going into a child is no leaving.
    if (!event.currentTarget.contains(event.relatedTarget as Node | null)) {
      setOver(false);
    }
  };
  const drop = (event: DragEvent) => {
    setOver(false);
    if (event.dataTransfer.files.length > 0) {
      event.preventDefault();
      onFiles([...event.dataTransfer.files]);
    }
  };
  return (
    <div
      className="tunelab-drop"
      data-over={over}
      onDragEnter={hover}
      onDragOver={hover}
      onDragLeave={leave}
      onDrop={drop}
    >
      {children}
    </div>
  );
}
