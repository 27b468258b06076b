// Package e2e installs the service in the cluster that KUBECONFIG names and tests it through every
// fault. The tests run only with GATEHOUSE_E2E=1; make e2e builds and loads the images and sets the
// rest:
//
//	IMAGE, CLIENT_IMAGE   the service and its client (./client), loaded into the nodes
//	E2E_SECONDS           how long a fault lasts (120)
//	E2E_TRIES             how often a latency is measured (100)
//	E2E_REPORT            a file whose table of measurements is updated
//	E2E_CONDITIONS        what the table tells about the machine
//	APISERVER_STOP, APISERVER_START   shell commands; without them the API server keeps running
//	KILL_POD              a shell command that sends SIGKILL to the containers of the Pod with UID $POD_UID
//	CUT_OFF, RECONNECT    shell commands that drop what the Pod with address $POD_IP sends to the API server,
//	                      and end that
//	CONFORMANCE_DIR       a folder of conformance cases, run against two replicas
package e2e
