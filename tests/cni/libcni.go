// Calls the plugins of a network configuration list as container engines do: with libcni, the library of
// the CNI project.
//
//	libcni COMMAND LIST NETNS CONTAINER CAPABILITIES PATH CACHE
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/libcni"
)

func run(arguments []string) error {
	command, file, netns, container := arguments[0], arguments[1], arguments[2], arguments[3]
	list, err := libcni.ConfListFromFile(file)
	if err != nil {
		return err
	}
	capabilities := map[string]interface{}{}
	if err := json.Unmarshal([]byte(arguments[4]), &capabilities); err != nil {
		return err
	}
	config := libcni.NewCNIConfigWithCacheDir(filepath.SplitList(arguments[5]), arguments[6], nil)
	attachment := &libcni.RuntimeConf{
		ContainerID:    container,
		NetNS:          netns,
		IfName:         "eth0",
		CapabilityArgs: capabilities,
	}
	background := context.Background()
	switch command {
	case "VALIDATE":
		_, err = config.ValidateNetworkList(background, list)
	case "ADD":
		result, failure := config.AddNetworkList(background, list, attachment)
		if failure != nil {
			return failure
		}
		return result.PrintTo(os.Stdout)
	case "CHECK":
		err = config.CheckNetworkList(background, list, attachment)
	case "DEL":
		err = config.DelNetworkList(background, list, attachment)
	default:
		err = fmt.Errorf("no such command: %s", command)
	}
	return err
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
